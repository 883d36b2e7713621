import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeTemporaryDirectory, removeDirectory } from "./temporary-directory.ts";
import { BAZEL, LUA_SOURCE } from "./tools.ts";

export interface BazelRun {
  readonly exitCode: number;
  /** All that it printed. */
  readonly output: string;
  /** How many actions were answered in each way, from Bazel's closing line: `remote`, `remote cache hit` … */
  readonly processes: ReadonlyMap<string, number>;
}

/** A Bazel workspace of its own in a temporary directory, with all that Bazel writes. */
export class BazelWorkspace {
  readonly #root: string;

  /** A workspace that holds nothing but `files`, by path. */
  static async create(files: Readonly<Record<string, string>>): Promise<BazelWorkspace> {
    const workspace = new BazelWorkspace(await makeTemporaryDirectory());
    for (const [path, text] of Object.entries({ WORKSPACE: "", ...files })) await workspace.write(path, text);
    return workspace;
  }

  /** The workspace that builds Lua from the source that `.ci/run` fetched. */
  static async withLua(): Promise<BazelWorkspace> {
    const workspace = await BazelWorkspace.create({});
    await cp(fileURLToPath(new URL("bazel-workspace", import.meta.url)), workspace.directory, { recursive: true });
    await cp(LUA_SOURCE.path, join(workspace.directory, "lua"), { recursive: true });
    return workspace;
  }

  private constructor(root: string) {
    this.#root = root;
  }

  get directory(): string {
    return join(this.#root, "workspace");
  }

  async write(path: string, text: string): Promise<void> {
    const file = join(this.directory, path);
    await mkdir(join(file, ".."), { recursive: true });
    await writeFile(file, text);
  }

  async read(path: string): Promise<string> {
    return readFile(join(this.directory, path), "utf8");
  }

  /** Runs `bazel command …arguments`. A run that fails is a result too. */
  async run(command: string, ...args: readonly string[]): Promise<BazelRun> {
    return new Promise((resolve) => {
      execFile(
        BAZEL.path,
        [
          "--nohome_rc",
          `--output_user_root=${join(this.#root, "output")}`,
          // No server that outlives the test.
          "--batch",
          "--host_jvm_args=-Xmx512m",
          command,
          "--color=no",
          "--curses=no",
          "--show_progress_rate_limit=60",
          ...args,
        ],
        { cwd: this.directory, maxBuffer: 64 << 20 },
        (error, stdout, stderr) => {
          const output = stdout + stderr;
          const exitCode = typeof error?.code === "number" ? error.code : error === null ? 0 : -1;
          resolve({ exitCode, output, processes: countProcesses(output) });
        },
      );
    });
  }

  /** Forgets every output, as on a machine that never built this. */
  async clean(): Promise<void> {
    await rm(join(this.#root, "output"), { recursive: true, force: true });
  }

  async remove(): Promise<void> {
    await removeDirectory(this.#root);
  }
}

/** Reads a line such as `INFO: 37 processes: 3 internal, 34 remote.` */
function countProcesses(output: string): Map<string, number> {
  const [, list = ""] = /^INFO: \d+ process(?:es)?(?:: (.*))?\.$/m.exec(output) ?? [];
  return new Map(
    list.split(", ").flatMap((item) => {
      const [, count, strategy] = /^(\d+) (.+)$/.exec(item) ?? [];
      return strategy === undefined ? [] : [[strategy, Number(count)] as const];
    }),
  );
}
