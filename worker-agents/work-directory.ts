import { access, constants, mkdir, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { aborted } from "./aborted.ts";
import { makeDirectory } from "./make-directory.ts";
import { removeTree } from "./remove-tree.ts";
import { errorMessage, systemErrorCode } from "./system-error.ts";

/** How many things that can't be removed are tried again before the next start. */
const MAX_REMAINS = 1_000;

/** The work directory can't be used. The message names it and says why. */
export class WorkDirectoryError extends Error {
  override readonly name = "WorkDirectoryError";
}

/**
 * An agent's place on disk: `cache/` stays, `attempts/`, `temporary/` and `agents/` hold what belongs to this process. The
 * names in them begin with its id, so that what a process left behind when it was killed can be told from what another still uses.
 */
export class WorkDirectory {
  readonly cache: string;
  /** For AgentIdentity. */
  readonly agents: string;
  readonly #attempts: string;
  readonly #temporary: string;
  readonly #logger: Logger;
  readonly #removals = new Set<Promise<void>>();
  /** What could not be removed: on Windows, what a process that an action left behind has open. */
  readonly #remains = new Set<string>();
  #counter = 0;

  private constructor(path: string, logger: Logger) {
    this.cache = join(path, "cache");
    this.agents = join(path, "agents");
    this.#attempts = join(path, "attempts");
    this.#temporary = join(path, "temporary");
    this.#logger = logger;
  }

  /**
   * Makes the directory, if it is not there, and removes what killed agents left in it.
   * @throws WorkDirectoryError
   */
  static async open(path: string, logger: Logger): Promise<WorkDirectory> {
    try {
      makeDirectory(path);
      // With no symlink on the way, a path below can be compared to one that has been resolved.
      const work = new WorkDirectory(await realpath(path), logger);
      for (const part of [work.cache, work.#attempts, work.#temporary]) {
        await mkdir(part, { recursive: true });
        await access(part, constants.R_OK | constants.W_OK | constants.X_OK);
      }
      for (const part of [work.#attempts, work.#temporary]) {
        const leftovers = (await readdir(part)).filter(isLeftover);
        await Promise.all(leftovers.map((name) => work.#remove(join(part, name))));
      }
      return work;
    } catch (error) {
      throw new WorkDirectoryError(`work directory ${path} can't be used: ${errorMessage(error)}`);
    }
  }

  /** A path for one attempt at one action. Nothing is there yet. */
  newAttempt(): string {
    return join(this.#attempts, this.#newName());
  }

  /** A path for a file that is renamed to its place when it is complete, on the same file system as `cache`. */
  newTemporaryFile(): string {
    return join(this.#temporary, this.#newName());
  }

  /**
   * Removes a directory or file in the background, after what is still to be done with it. What can't be removed is logged,
   * and tried again when others are removed, and at the next start.
   */
  discard(path: string, before?: Promise<void>): void {
    const removal = Promise.resolve(before)
      .then(() => this.#remove(path))
      .then((isGone) => (isGone ? this.#removeOneThatRemains() : undefined))
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  /** Waits for what is being removed, or until `signal` aborts. */
  async whenRemoved(signal: AbortSignal): Promise<void> {
    await Promise.race([Promise.all(this.#removals), aborted(signal)]);
  }

  #newName(): string {
    return `${process.pid}-${++this.#counter}`;
  }

  /** Whether it is gone. */
  async #remove(path: string): Promise<boolean> {
    try {
      await removeTree(path);
      return true;
    } catch (error) {
      this.#logger.warn({ path, error: errorMessage(error) }, "cannot remove what an action left behind");
      if (this.#remains.size < MAX_REMAINS) this.#remains.add(path);
      return false;
    }
  }

  async #removeOneThatRemains(): Promise<void> {
    const [path] = this.#remains;
    if (path === undefined) return;
    this.#remains.delete(path);
    try {
      await removeTree(path);
    } catch {
      // Logged already. Its turn comes again when all others have had theirs.
      this.#remains.add(path);
    }
  }
}

/** Whether the process has gone whose id the name of a file or directory begins with. */
export function isLeftover(name: string): boolean {
  const pid = Number(name.split("-")[0]);
  // In a container the process that was killed and its successor often have the same id.
  return !Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid || !isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === "EPERM";
  }
}
