// How the end of a command, and the refusal to start one, become an exit code as a shell has it.

import { constants } from "node:os";
import { systemErrorCode } from "../system-error.ts";

/** What a shell reports for a program that passed `ulimit -f`: 128 + SIGXFSZ. */
export const EXIT_FILE_TOO_LARGE = 153;
const EXIT_CANNOT_EXECUTE = 126;
const EXIT_NOT_FOUND = 127;

/** From here on, an exit code is 128 and the number of the signal that ended the command. */
const FIRST_SIGNAL_EXIT = 129;

/** Windows cannot, or this agent will not, start a program in this way. The message is for whoever wrote the command. */
export class CommandRefused extends Error {
  override readonly name = "CommandRefused";
}

/**
 * The exit code of a process that has ended. Windows has unsigned ones, and that of a program that crashed is above 2^31
 * (0xC0000005), while REAPI's is an int32: it is the same 32 bits, as Windows' own tools show them.
 */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code === null ? 128 + (signal === null ? 0 : constants.signals[signal]) : code | 0;
}

/**
 * An exit code in words. Only on systems with signals does it tell of one.
 * @param knowsMemory a kill for want of memory would be known as such
 */
export function exitText(exitCode: number, knowsMemory: boolean, platform: NodeJS.Platform = process.platform): string {
  if (platform === "win32")
    return exitCode < 0 ? `exit code ${exitCode} (0x${hexadecimal(exitCode)})` : `exit code ${exitCode}`;
  const signal = exitCode < FIRST_SIGNAL_EXIT ? undefined : signalName(exitCode - FIRST_SIGNAL_EXIT + 1);
  if (signal === undefined) return `exit code ${exitCode}`;
  const hint = signal === "SIGKILL" && !knowsMemory ? "; the machine may have had no memory left" : "";
  return `exit code ${exitCode}, as of ${signal}${hint}`;
}

/** How a shell reports that the operating system would not run a program; undefined if the machine is at fault. */
export function refusalByOperatingSystem(
  error: unknown,
): { readonly exitCode: number; readonly text: string } | undefined {
  if (error instanceof CommandRefused) return { exitCode: EXIT_CANNOT_EXECUTE, text: error.message };
  switch (systemErrorCode(error)) {
    case "ENOENT":
    case "ENOTDIR":
      return { exitCode: EXIT_NOT_FOUND, text: "no such program, or its interpreter is missing" };
    case "EACCES":
    case "EPERM":
      return { exitCode: EXIT_CANNOT_EXECUTE, text: "permission denied: is it an executable file?" };
    case "ENOEXEC":
    case "EFTYPE":
      return { exitCode: EXIT_CANNOT_EXECUTE, text: "not a program that this machine can run" };
    case "E2BIG":
      return { exitCode: EXIT_CANNOT_EXECUTE, text: "the arguments and the environment are too long" };
    case "ELOOP":
      return { exitCode: EXIT_CANNOT_EXECUTE, text: "the program's path goes in circles" };
    case "ENAMETOOLONG":
      return {
        exitCode: EXIT_CANNOT_EXECUTE,
        text: "the program's path, or on Windows all the arguments, are too long",
      };
    default:
      return undefined;
  }
}

function signalName(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}

function hexadecimal(exitCode: number): string {
  return (exitCode >>> 0).toString(16).toUpperCase();
}
