import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const REMEX = fileURLToPath(new URL("../../dist/remex.js", import.meta.url));

/** A running `remex` command, in a process group of its own. */
export class RemexProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;
  #stdout = "";
  #stderr = "";
  readonly #waiting = new Set<() => void>();

  /** @param program where the bundled command is */
  constructor(args: readonly string[], environment: NodeJS.ProcessEnv = {}, program = REMEX) {
    this.#child = spawn(process.execPath, [program, ...args], {
      // Its own group, so that a test can end it as a crash of the machine would: all of its processes at once.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    this.#exit = once(this.#child, "close").then(() => this.#child.exitCode);
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      for (const check of this.#waiting) check();
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      for (const check of this.#waiting) check();
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${REMEX} could not be started`);
    return pid;
  }

  /** Settles with the exit code when the process has ended and its output is complete; null after a signal. */
  get exited(): Promise<number | null> {
    return this.#exit;
  }

  /** Waits for a match of `pattern` in stdout and returns its first group. Throws with all output if the process ends. */
  async printed(pattern: RegExp): Promise<string> {
    return this.#matched(pattern, () => this.#stdout);
  }

  /** The same for stderr. */
  async logged(pattern: RegExp): Promise<string> {
    return this.#matched(pattern, () => this.#stderr);
  }

  /** The one line that it ends with, together with exit code 1, when a person has to put something right. */
  async fault(): Promise<string> {
    const code = await this.exited;
    if (code === 1 && /^remex: .+\n$/.test(this.#stderr)) return this.#stderr;
    throw new Error(`remex ended (${String(code)}) otherwise than with one line on stderr:\n${this.output}`);
  }

  get output(): string {
    return `${this.#stdout}${this.#stderr}`;
  }

  async #matched(pattern: RegExp, text: () => string): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const check = () => {
      const match = pattern.exec(text());
      if (match !== null) resolve(match[1] ?? match[0]);
    };
    this.#waiting.add(check);
    check();
    const ended = this.#exit.then((code) => {
      throw new Error(`remex ended (${String(code)}) before it printed ${String(pattern)}:\n${this.output}`);
    });
    try {
      return await Promise.race([promise, ended]);
    } finally {
      this.#waiting.delete(check);
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks it to end, waits until it has, and returns its exit code. */
  async stop(): Promise<number | null> {
    this.signal("SIGTERM");
    return this.#exit;
  }

  /** Ends it and its children with no chance to tidy up. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) process.kill(-this.pid, "SIGKILL");
    await this.#exit;
  }
}
