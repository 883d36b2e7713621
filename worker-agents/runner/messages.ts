// What the agent and its runner process say to each other. Both are always of the same version.

import { errorMessage, systemErrorCode } from "../system-error.ts";
import type { ResourceLimits } from "./control-groups.ts";
import type { MemoryShortage } from "./memory-shortage.ts";

/** One command to run, resolved to this machine's paths. */
export interface CommandRun {
  /** The first is the program: a path, or a bare name to look up in the PATH of `environment`. */
  readonly arguments: readonly string[];
  /** What people know it by, where `arguments` begin with a program that runs the command. Default: their first. */
  readonly program?: string;
  /** The whole environment: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Absolute, and the command's alone: what still has to do with it when the command has ended is killed. */
  readonly ownDirectory: string;
  /** Files to create for the output streams. */
  readonly stdoutPath: string;
  readonly stderrPath: string;
  /** After this long the command and all that it started are killed. */
  readonly timeoutMs: number;
  /** A command that writes more than this to one of the streams is killed, too. */
  readonly maxStdioBytes: number;
  /** What it may use, where there are control groups that can bound it. */
  readonly resources?: ResourceLimits;
  /** Its stdin and stdout are pipes to the agent, instead of nothing and a file. */
  readonly interactive?: boolean;
}

/** How a command ended. */
export interface CommandEnd {
  /** As a shell reports it: 128 + the signal's number after a signal, 127 for no such program, 126 for one that can't run. */
  readonly exitCode: number;
  /** It was killed at its time limit. */
  readonly timedOut: boolean;
  /** The kernel killed it for want of memory. */
  readonly memoryShortage?: MemoryShortage;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** By a monotonic clock: the one that the time limit goes by. */
  readonly durationMs: number;
  /** How much of the files is the command's: what a stray process appends later is not. */
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

export type ToRunner =
  | { readonly type: "run"; readonly id: number; readonly command: CommandRun }
  /** For the stdin of an interactive command. */
  | { readonly type: "input"; readonly id: number; readonly base64: string }
  | { readonly type: "kill"; readonly id: number };

export type FromRunner =
  /** From the stdout of an interactive command. */
  | { readonly type: "output"; readonly id: number; readonly base64: string }
  | { readonly type: "ended"; readonly id: number; readonly end: CommandEnd }
  /** The machine failed the command: it could not be started for lack of resources, or could not be killed. */
  | ({ readonly type: "failed"; readonly id: number } & CommandFailure);

export interface CommandFailure {
  readonly message: string;
  /** Of the operating system's error, where there was one: `ENOSPC`. */
  readonly code?: string;
}

export function commandFailure(error: unknown): CommandFailure {
  const code = systemErrorCode(error);
  return { message: errorMessage(error), ...(code !== undefined && { code }) };
}

export function isToRunner(message: unknown): message is ToRunner {
  return typeIsOneOf(message, ["run", "input", "kill"]);
}

export function isFromRunner(message: unknown): message is FromRunner {
  return typeIsOneOf(message, ["output", "ended", "failed"]);
}

function typeIsOneOf(message: unknown, types: readonly string[]): boolean {
  return (
    typeof message === "object" &&
    message !== null &&
    "type" in message &&
    typeof message.type === "string" &&
    types.includes(message.type)
  );
}
