import { appendFileSync, closeSync, fstatSync, openSync, truncateSync, unlinkSync } from "node:fs";
import type { CommandEnd, CommandRun } from "./messages.ts";

type Sizes = Pick<CommandEnd, "stdoutBytes" | "stderrBytes">;

/**
 * The files that a command's output streams go to directly: their bytes never pass through this process, and a
 * background process that keeps a stream open delays nothing.
 */
export class StdioFiles {
  readonly stdout: number;
  readonly stderr: number;
  readonly #command: CommandRun;

  /** Creates both. */
  constructor(command: CommandRun) {
    this.#command = command;
    // Appending, so that what is cut off stays off, and what is added comes after what the command wrote.
    this.stdout = openSync(command.stdoutPath, "ax", 0o600);
    try {
      this.stderr = openSync(command.stderrPath, "ax", 0o600);
    } catch (error) {
      closeSync(this.stdout);
      throw error;
    }
  }

  sizes(): Sizes {
    return { stdoutBytes: fstatSync(this.stdout).size, stderrBytes: fstatSync(this.stderr).size };
  }

  /** The name of a stream that is longer than it may be. */
  tooLong({ stdoutBytes, stderrBytes } = this.sizes()): "stdout" | "stderr" | undefined {
    const { maxStdioBytes } = this.#command;
    if (stdoutBytes > maxStdioBytes) return "stdout";
    return stderrBytes > maxStdioBytes ? "stderr" : undefined;
  }

  /** Cuts off what is too long. By the paths: Windows lets nobody cut a file that is open for appending only. */
  cut(): void {
    const { maxStdioBytes, stderrPath, stdoutPath } = this.#command;
    const { stdoutBytes, stderrBytes } = this.sizes();
    if (stdoutBytes > maxStdioBytes) truncateSync(stdoutPath, maxStdioBytes);
    if (stderrBytes > maxStdioBytes) truncateSync(stderrPath, maxStdioBytes);
  }

  /** Says something of a program to whoever reads the command's stderr. */
  notice(text: string, program = this.#command.program ?? this.#command.arguments[0] ?? ""): void {
    appendFileSync(this.stderr, `remex: ${program}: ${text}\n`);
  }

  /** Closes both, and removes one that is empty by `sizes`: most are, and nobody has to look at them then. */
  close({ stdoutBytes, stderrBytes } = this.sizes()): void {
    closeSync(this.stdout);
    closeSync(this.stderr);
    if (stdoutBytes === 0) unlinkSync(this.#command.stdoutPath);
    if (stderrBytes === 0) unlinkSync(this.#command.stderrPath);
  }
}
