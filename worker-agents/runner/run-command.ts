import { spawn, type ChildProcess } from "node:child_process";
import { appendFileSync, closeSync, fstatSync, ftruncateSync, openSync } from "node:fs";
import { constants } from "node:os";
import { errorMessage, systemErrorCode } from "../system-error.ts";
import type { CommandEnd, CommandRun } from "./messages.ts";
import { GROUP_OPTIONS, killGroup, killRest } from "./process-group.ts";

/** How often the size of the output streams is looked at while the command runs. */
const STDIO_CHECK_INTERVAL_MS = 500;

/** How long a killed process may take to go. Longer means that the kernel holds it, on a dead network disk for example. */
const KILL_GRACE_MS = 10_000;

/** setTimeout fires at once for more; 24 days is for ever. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a shell reports when `ulimit -f` is passed. */
const EXIT_FILE_TOO_LARGE = 128 + constants.signals.SIGXFSZ;
const EXIT_CANNOT_EXECUTE = 126;
const EXIT_NOT_FOUND = 127;

export interface RunningCommand {
  /** Kills the command and all that it started; `onEnd` is called once it has gone. */
  kill(): void;
}

export interface CommandEvents {
  onEnd(end: CommandEnd): void;
  /** The machine failed the command. */
  onFailure(message: string): void;
}

/**
 * Starts one command with its output streams going straight to files, so that their bytes never pass through this
 * process and a background process that keeps a stream open delays nothing. Exactly one of `events` is called, later.
 *
 * This is synchronous on purpose: it is for a process that does nothing else, and one synchronous call of the file
 * system costs half the CPU of an asynchronous one.
 */
export function runCommand(command: CommandRun, events: CommandEvents): RunningCommand {
  const [stdout, stderr] = openStreams(command);
  const startedAtMs = Date.now();
  const startedAt = performance.now();
  let timers: NodeJS.Timeout[] = [];
  let timedOut = false;
  let tooLong: string | undefined;
  let over = false;

  const finish = (report: () => void): void => {
    if (over) return;
    over = true;
    timers.forEach(clearTimeout);
    try {
      report();
    } catch (error) {
      events.onFailure(errorMessage(error));
    } finally {
      closeSync(stdout);
      closeSync(stderr);
    }
  };

  const end = (exitCode: number): void => {
    const endedAtMs = Date.now();
    const durationMs = performance.now() - startedAt;
    tooLong ??= streamBeyondLimit();
    if (tooLong !== undefined) {
      for (const stream of [stdout, stderr]) {
        if (fstatSync(stream).size > command.maxStdioBytes) ftruncateSync(stream, command.maxStdioBytes);
      }
      notice(`killed: it wrote more than ${command.maxStdioBytes} bytes to ${tooLong}, and the rest is cut off`);
    }
    events.onEnd({
      exitCode: tooLong === undefined || timedOut ? exitCode : EXIT_FILE_TOO_LARGE,
      timedOut,
      startedAtMs,
      endedAtMs,
      durationMs,
      stdoutBytes: fstatSync(stdout).size,
      stderrBytes: fstatSync(stderr).size,
    });
  };

  /** Says something to whoever reads the command's stderr. */
  const notice = (text: string): void => {
    appendFileSync(stderr, `remex: ${command.arguments[0] ?? ""}: ${text}\n`);
  };

  const streamBeyondLimit = (): string | undefined => {
    if (fstatSync(stdout).size > command.maxStdioBytes) return "stdout";
    if (fstatSync(stderr).size > command.maxStdioBytes) return "stderr";
    return undefined;
  };

  const notStarted = (error: unknown): void => {
    const refusal = refusalByOperatingSystem(error);
    finish(() => {
      if (refusal === undefined) {
        events.onFailure(`cannot start ${command.arguments[0] ?? ""}: ${errorMessage(error)}`);
        return;
      }
      notice(refusal.text);
      end(refusal.exitCode);
    });
  };

  let child: ChildProcess | undefined;
  try {
    child = spawn(command.arguments[0] ?? "", command.arguments.slice(1), {
      ...GROUP_OPTIONS,
      cwd: command.workingDirectory,
      env: command.environment,
      stdio: ["ignore", stdout, stderr],
    });
  } catch (error) {
    setImmediate(notStarted, error);
    return { kill: () => undefined };
  }
  const started = child;

  let killed = false;
  const kill = (): void => {
    if (killed || over) return;
    killed = true;
    killGroup(started);
    timers.push(
      setTimeout(() => {
        finish(() => {
          events.onFailure(`process ${started.pid ?? 0} is still there ${KILL_GRACE_MS / 1000} s after it was killed`);
        });
      }, KILL_GRACE_MS),
    );
  };

  started.on("error", notStarted);
  started.on("exit", (code, signal) => {
    killRest(started);
    finish(() => {
      end(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
  timers = [
    setTimeout(
      () => {
        timedOut = !killed;
        kill();
      },
      Math.min(command.timeoutMs, MAX_TIMER_MS),
    ),
    setInterval(() => {
      tooLong ??= streamBeyondLimit();
      if (tooLong !== undefined) kill();
    }, STDIO_CHECK_INTERVAL_MS),
  ];
  return { kill };
}

function openStreams({ stdoutPath, stderrPath }: CommandRun): [number, number] {
  const stdout = openSync(stdoutPath, "ax", 0o600);
  try {
    return [stdout, openSync(stderrPath, "ax", 0o600)];
  } catch (error) {
    closeSync(stdout);
    throw error;
  }
}

/** How a shell reports that the operating system would not run a program; undefined if the machine is at fault. */
function refusalByOperatingSystem(error: unknown): { exitCode: number; text: string } | undefined {
  switch (systemErrorCode(error)) {
    case "ENOENT":
    case "ENOTDIR":
      return { exitCode: EXIT_NOT_FOUND, text: "no such program, or its interpreter is missing" };
    case "EACCES":
    case "EPERM":
      return { exitCode: EXIT_CANNOT_EXECUTE, text: "permission denied: is it an executable file?" };
    case "ENOEXEC":
      return { exitCode: EXIT_CANNOT_EXECUTE, text: "not a program that this machine can run" };
    case "E2BIG":
      return { exitCode: EXIT_CANNOT_EXECUTE, text: "the arguments and the environment are too long" };
    case "ELOOP":
    case "ENAMETOOLONG":
      return { exitCode: EXIT_CANNOT_EXECUTE, text: "the program's path is too long or goes in circles" };
    default:
      return undefined;
  }
}
