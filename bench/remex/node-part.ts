import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const STOP_LIMIT_MS = 10_000;

/** A part of Remex in a Node process of its own, as it is in production. */
export class NodePart {
  readonly #child: ChildProcess;

  /**
   * Starts `script` and waits for a line of its output.
   * @returns the part, and the first group of `ready` in that line
   */
  static async start(
    script: string,
    args: readonly string[],
    ready: RegExp,
    nodeOptions: readonly string[],
  ): Promise<{ part: NodePart; readyAt: string }> {
    const child = spawn(process.execPath, [...nodeOptions, script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    const part = new NodePart(child);
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const [, readyAt] = ready.exec(line) ?? [];
      if (readyAt === undefined) continue;
      // What it says later is of no interest, but must not fill the pipe.
      child.stdout.resume();
      return { part, readyAt };
    }
    throw new Error(`${script} ${args.join(" ")} ended before it was ready`);
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    // Not even a crash of the bench leaves it behind.
    process.once("exit", () => child.kill("SIGKILL"));
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("a part that printed something has a process");
    return this.#child.pid;
  }

  /** Ends it with no chance to tidy up. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const limit = setTimeout(() => this.#child.kill("SIGKILL"), STOP_LIMIT_MS);
    await ended;
    clearTimeout(limit);
  }
}
