// What differs between operating systems in starting a program.

import { win32 } from "node:path";
import { CommandRefused } from "./exit-code.ts";

/** What `spawn` of node:child_process is given. */
export interface ProgramStart {
  readonly program: string;
  readonly arguments: readonly string[];
  /** Windows: the arguments are in a form that the program reads, and Node.js must not quote them. */
  readonly windowsVerbatimArguments?: boolean;
}

/** Windows starts nothing in a directory with a longer path, however long those of files may be. */
const MAX_WINDOWS_DIRECTORY = 258;

const BATCH_FILE = /\.(?:bat|cmd)[. ]*$/i;

/**
 * How a command is started. On Windows Node.js refuses to start a batch file, as cmd.exe, which runs it, reads arguments in a
 * way of its own: here cmd.exe gets them such that the batch file sees each as it is, in quotes where it has special characters.
 * @throws CommandRefused if Windows can't be given the working directory, or a batch file an argument
 */
export function programStart(
  [program = "", ...given]: readonly string[],
  workingDirectory: string,
  platform: NodeJS.Platform = process.platform,
): ProgramStart {
  if (platform !== "win32") return { program, arguments: given };
  if (workingDirectory.length > MAX_WINDOWS_DIRECTORY) {
    throw new CommandRefused(
      `the path of the working directory has ${workingDirectory.length} characters, and Windows takes ` +
        `${MAX_WINDOWS_DIRECTORY}: give the agent a shorter --work-dir`,
    );
  }
  if (!BATCH_FILE.test(program)) return { program, arguments: given };
  const words = [quoted(program.replaceAll("/", "\\")), ...given.map(wordOf)];
  return {
    program: systemProgram("cmd.exe"),
    // Extensions on, for `%cd:~,%`; no expansion of `!…!`; nothing from the registry; only the outermost quotes taken off.
    arguments: ["/e:on", "/v:off", "/d", "/s", "/c", `"${words.join(" ")}"`],
    windowsVerbatimArguments: true,
  };
}

/** The path of a program of Windows itself: by its name alone one in the current directory would be found first. */
export function systemProgram(name: string): string {
  return win32.join(windowsDirectory(), "System32", name);
}

/** Where Windows is. Node.js gives the variable to every process that it starts. */
export function windowsDirectory(): string {
  return process.env["SystemRoot"] ?? "C:\\Windows";
}

function wordOf(argument: string): string {
  return /^[\w#$*+\-./:?@\\]*[\w#$*+\-./:?@]$/.test(argument) ? argument : quoted(argument);
}

function quoted(argument: string): string {
  if (/[\r\n]/.test(argument)) {
    throw new CommandRefused("a batch file can't be given an argument of several lines");
  }
  const text = argument
    // As programs that the batch file passes it on to read it: a backslash counts before a quote only.
    .replace(/(\\*)(?="|$)/g, "$1$1")
    .replaceAll('"', '""')
    // `%cd:~,%` is always empty, so that no `%name%` is left in which cmd.exe would put a variable's value.
    .replaceAll("%", "%%cd:~,%");
  return `"${text}"`;
}
