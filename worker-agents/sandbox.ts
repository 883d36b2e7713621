// Running commands in bubblewrap, where there is one: https://github.com/containers/bubblewrap

import { execFile } from "node:child_process";
import { mkdir, open } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { Logger } from "pino";
import { findProgram } from "./find-program.ts";
import { removeTree } from "./remove-tree.ts";
import { SandboxSecrets } from "./sandbox-secrets.ts";
import { errorMessage } from "./system-error.ts";

/** `auto`: with bubblewrap where it works, else without. `bwrap`: with it or not at all. */
export type SandboxMode = "auto" | "bwrap" | "none";

/** The sandbox that was asked for can't be had. The message says why. */
export class SandboxError extends Error {
  override readonly name = "SandboxError";
}

/** What commands see of the machine, read-only, unless told otherwise. */
export const DEFAULT_SANDBOX_PATHS: readonly string[] = ["/usr", "/bin", "/lib", "/lib64", "/etc"];

/** Where an action's input root is in the sandbox: the same for all, so that no output depends on it. */
const INPUT_ROOT = "/action";

/** Inside, a command is this user; outside, its files are the agent's. */
const SANDBOX_ID = "65534";

/** The name server's address, where /etc/resolv.conf is a link to it. */
const RESOLVER = "/run/systemd/resolve";

const PROBE_TIMEOUT_MS = 10_000;

/** What commands see of the machine, read-only. */
export interface SandboxView {
  /** Absolute; those that are not there are left out. */
  readonly paths: readonly string[];
  /** Files of the agent's own, absolute, that commands don't see though a path shows them. */
  readonly secrets?: readonly string[] | undefined;
}

/** The paths of one command, outside. */
export interface SandboxedCommand {
  readonly arguments: readonly string[];
  /** The input root: all that the command may write to, beside a /tmp of its own. */
  readonly root: string;
  /** An empty directory that is its /tmp. */
  readonly temporary: string;
  /** In `root`, or `root` itself. */
  readonly workingDirectory: string;
  readonly network: boolean;
}

/** Puts commands into namespaces of their own: files, processes, users, network. */
export class Sandbox {
  readonly #program: string;
  readonly #paths: readonly string[];
  readonly #secrets: SandboxSecrets;

  private constructor(program: string, paths: readonly string[], secrets: SandboxSecrets) {
    this.#program = program;
    this.#paths = paths;
    this.#secrets = secrets;
  }

  /**
   * Looks for bubblewrap and tries it.
   * @param scratch a path at which to try it; nothing is there before or after
   * @returns undefined for no sandbox
   * @throws SandboxError if `mode` is `bwrap` and it can't be had
   */
  static async open(
    mode: SandboxMode,
    shown: SandboxView,
    scratch: string,
    logger: Logger,
  ): Promise<Sandbox | undefined> {
    if (mode === "none") return undefined;
    try {
      return await Sandbox.#tried(shown, scratch, logger);
    } catch (error) {
      if (mode === "bwrap") throw error;
      logger.warn({ reason: errorMessage(error) }, "actions run without a sandbox: they see all that the agent sees");
      return undefined;
    }
  }

  static async #tried({ paths, secrets = [] }: SandboxView, scratch: string, logger: Logger): Promise<Sandbox> {
    if (process.platform !== "linux") throw new SandboxError("bubblewrap is for Linux only");
    const program = await findProgram("bwrap");
    if (program === undefined) throw new SandboxError("there is no bwrap in PATH: install bubblewrap");
    const sandbox = new Sandbox(program, paths, await SandboxSecrets.find(paths, secrets, logger));
    const directory = resolve(scratch);
    const command = { root: join(directory, "root"), temporary: join(directory, "tmp"), network: false };
    try {
      await mkdir(command.root, { recursive: true });
      await mkdir(command.temporary);
      const [bwrap = "", ...args] = sandbox.wrap({
        ...command,
        arguments: ["true"],
        workingDirectory: command.root,
      });
      await promisify(execFile)(bwrap, args, { timeout: PROBE_TIMEOUT_MS });
    } catch (error) {
      throw new SandboxError(`${program} can't make a sandbox here: ${whatItSaid(error)}`);
    } finally {
      await removeTree(scratch);
    }
    return sandbox;
  }

  /** The arguments that run the command in the sandbox, from any directory. */
  wrap({ arguments: given, root, temporary, workingDirectory, network }: SandboxedCommand): string[] {
    return [
      this.#program,
      ...["--unshare-all", "--unshare-user", "--uid", SANDBOX_ID, "--gid", SANDBOX_ID, "--die-with-parent"],
      ...(network ? ["--share-net", "--ro-bind-try", RESOLVER, RESOLVER] : []),
      ...["--proc", "/proc", "--dev", "/dev", "--bind", temporary, "/tmp"],
      ...this.#paths.flatMap((path) => ["--ro-bind-try", path, path]),
      ...this.#secrets.masks(),
      ...["--bind", root, INPUT_ROOT, "--remount-ro", "/", "--chdir", INPUT_ROOT + workingDirectory.slice(root.length)],
      "--",
      ...given,
    ];
  }

  /**
   * What a shell would have for an exit code, where it was bubblewrap that ended with 1: a program that is not there or
   * can't be run. A command that ends with 1 and writes as bubblewrap does can't be told from it.
   * @throws SandboxError if bubblewrap failed in something else
   */
  async exitCode(exitCode: number, stderrPath: string, stderrBytes: number): Promise<number> {
    if (exitCode !== 1 || stderrBytes === 0) return exitCode;
    const said = await head(stderrPath);
    if (!said.startsWith("bwrap: ")) return exitCode;
    if (!said.startsWith("bwrap: execvp ")) throw new SandboxError(said.trimEnd());
    return said.trimEnd().endsWith("No such file or directory") ? 127 : 126;
  }
}

/** What a program that failed wrote to its stderr; else what is known of the failure. */
function whatItSaid(error: unknown): string {
  const stderr =
    error instanceof Error && "stderr" in error && typeof error.stderr === "string" ? error.stderr.trim() : "";
  return stderr === "" ? errorMessage(error) : stderr;
}

async function head(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(1_000), 0, 1_000, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}
