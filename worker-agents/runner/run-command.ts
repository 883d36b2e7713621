import { spawn, type ChildProcess } from "node:child_process";
import { basename } from "node:path";
import { errorMessage } from "../system-error.ts";
import { LONGEST_TIMER_MS } from "../time-limit.ts";
import { commandFailure, type CommandEnd, type CommandFailure, type CommandRun } from "./messages.ts";
import { EXIT_FILE_TOO_LARGE, exitCodeOf, refusalByOperatingSystem } from "./exit-code.ts";
import { ControlGroup, type ControlGroups, type ResourceLimits } from "./control-groups.ts";
import { GROUP_OPTIONS, killGroup, killRest, orphansBefore } from "./process-group.ts";
import { memoryNotice, NO_MEMORY_LEFT } from "./memory-shortage.ts";
import { programStart } from "./program-start.ts";
import { StdioFiles } from "./stdio-files.ts";

/** How often the size of the output streams is looked at while the command runs. */
const STDIO_CHECK_INTERVAL_MS = 500;

/** How long a killed process may take to go. Longer means that the kernel holds it, on a dead network disk for example. */
const KILL_GRACE_MS = 10_000;

/** How often it is looked at whether killed processes have gone. */
const GROUP_CHECK_INTERVAL_MS = 2;

export interface CommandEvents {
  /** An interactive command wrote something to its stdout. */
  onOutput(bytes: Buffer): void;
  onEnd(end: CommandEnd): void;
  /** The machine failed the command. */
  onFailure(failure: CommandFailure): void;
}

/**
 * One command, from its start to its end. Calls exactly one of `onEnd` and `onFailure`, not before the constructor has
 * returned.
 *
 * All is synchronous, on purpose: it is for a process that does nothing else, and a synchronous call of the file system
 * costs half the CPU of an asynchronous one.
 */
export class RunningCommand {
  readonly #command: CommandRun;
  readonly #events: CommandEvents;
  readonly #stdio: StdioFiles;
  readonly #startedAtMs = Date.now();
  readonly #startedAt = performance.now();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #groups: ControlGroups | undefined;
  #group: ControlGroup | undefined;
  #child: ChildProcess | undefined;
  #killed: Promise<void> | undefined;
  #timedOut = false;
  #over = false;

  /** @throws if the files of the streams can't be created */
  constructor(command: CommandRun, groups: ControlGroups | undefined, events: CommandEvents) {
    this.#command = command;
    this.#groups = groups;
    this.#events = events;
    this.#stdio = new StdioFiles(command);
    try {
      this.#start();
    } catch (error) {
      setImmediate(() => {
        this.#notStarted(error);
      });
    }
  }

  #start(): void {
    const { resources = {}, workingDirectory } = this.#command;
    const { program, arguments: given, ...how } = programStart(this.#command.arguments, workingDirectory);
    const group = this.#groups && new ControlGroup(this.#groups, basename(this.#command.ownDirectory));
    this.#group = group;
    // What is in a group needs no search.
    const before = group === undefined ? orphansBefore() : new Set<number>();
    const [stdin, stdout] =
      this.#command.interactive === true ? (["pipe", "pipe"] as const) : (["ignore", this.#stdio.stdout] as const);
    const start = (): ChildProcess =>
      spawn(program, given, {
        ...GROUP_OPTIONS,
        ...how,
        cwd: workingDirectory,
        env: this.#command.environment,
        stdio: [stdin, stdout, this.#stdio.stderr],
      });
    const child = group === undefined ? start() : startBounded(start, group, resources);
    this.#child = child;
    child.stdout?.on("data", (bytes: Buffer) => {
      this.#events.onOutput(bytes);
    });
    // One that reads no more has ended, or is told apart by its silence.
    child.stdin?.on("error", () => undefined);
    child.on("error", (error) => {
      this.#notStarted(error);
    });
    child.on("exit", (code, signal) => {
      const end = (): void => {
        this.#finish(() => this.#endWith(exitCodeOf(code, signal)));
      };
      if (group === undefined) killRest(child, this.#command.ownDirectory, before);
      // Most commands leave nothing.
      if (group === undefined || group.isEmpty) {
        end();
        return;
      }
      group.kill();
      this.#whenEmpty(group, end);
    });
    const timeLimit = setTimeout(
      () => {
        this.#timedOut = this.#killed === undefined;
        void this.kill();
      },
      Math.min(this.#command.timeoutMs, LONGEST_TIMER_MS),
    );
    const sizeCheck = setInterval(() => {
      if (this.#stdio.tooLong() !== undefined) void this.kill();
    }, STDIO_CHECK_INTERVAL_MS);
    this.#timers.push(timeLimit, sizeCheck);
  }

  /** Passes something on to the stdin of an interactive command. */
  write(bytes: Buffer): void {
    this.#child?.stdin?.write(bytes);
  }

  /** Kills the command and all that it started; its end is reported once it has gone. Resolves when it has been told. */
  kill(): Promise<void> {
    if (this.#child === undefined || this.#over) return Promise.resolve();
    this.#killed ??= this.#kill(this.#child);
    return this.#killed;
  }

  #kill(child: ChildProcess): Promise<void> {
    const told = killGroup(child);
    this.#group?.kill();
    const grace = setTimeout(() => {
      this.#finish(() => `process ${child.pid ?? 0} is still there ${KILL_GRACE_MS / 1000} s after it was killed`);
    }, KILL_GRACE_MS);
    this.#timers.push(grace);
    return told;
  }

  /** Killed processes take a moment to go, and may write until then. */
  #whenEmpty(group: ControlGroup, then: () => void): void {
    const endedAt = performance.now();
    const look = (): void => {
      if (group.isEmpty) then();
      else if (performance.now() - endedAt < KILL_GRACE_MS) setTimeout(look, GROUP_CHECK_INTERVAL_MS);
      else this.#finish(() => `processes of the command are still there ${KILL_GRACE_MS / 1000} s after it ended`);
    };
    look();
  }

  #endWith(exitCode: number): CommandEnd | string {
    const endedAtMs = Date.now();
    const durationMs = performance.now() - this.#startedAt;
    let sizes = this.#stdio.sizes();
    const tooLong = this.#stdio.tooLong(sizes);
    if (tooLong !== undefined) {
      this.#stdio.cut();
      this.#stdio.notice(
        `${tooLong} is longer than ${this.#command.maxStdioBytes} bytes: killed, and the rest cut off`,
      );
      sizes = this.#stdio.sizes();
    }
    const memoryShortage = exitCode === 0 ? undefined : this.#group?.memoryShortage;
    if (memoryShortage !== undefined && !this.#timedOut) {
      const { memoryBytes } = this.#command.resources ?? {};
      // What asks for memory and keeps to that is not at fault, and others may have room for it.
      if (memoryShortage === "machine" && memoryBytes !== undefined) return NO_MEMORY_LEFT;
      this.#stdio.notice(memoryNotice(memoryBytes));
      sizes = this.#stdio.sizes();
    }
    return {
      exitCode: tooLong === undefined || this.#timedOut ? exitCode : EXIT_FILE_TOO_LARGE,
      timedOut: this.#timedOut,
      ...(memoryShortage !== undefined && { memoryShortage }),
      startedAtMs: this.#startedAtMs,
      endedAtMs,
      durationMs,
      ...sizes,
    };
  }

  #notStarted(error: unknown): void {
    const refusal = refusalByOperatingSystem(error);
    this.#finish(() => {
      if (refusal === undefined) return `cannot start ${this.#command.arguments[0] ?? ""}: ${errorMessage(error)}`;
      this.#stdio.notice(refusal.text, this.#command.arguments[0]);
      return this.#endWith(refusal.exitCode);
    });
  }

  /** Tells how it ended, once; a text says how the machine failed. */
  #finish(describe: () => CommandEnd | string): void {
    if (this.#over) return;
    this.#over = true;
    for (const timer of this.#timers) clearTimeout(timer);
    let end: CommandEnd | string;
    try {
      end = describe();
      // Before anyone is told: the files may be removed from then on.
      this.#stdio.close(typeof end === "string" ? undefined : end);
      this.#group?.remove();
    } catch (error) {
      this.#events.onFailure(commandFailure(error));
      return;
    }
    if (typeof end === "string") this.#events.onFailure({ message: end });
    else this.#events.onEnd(end);
  }
}

function startBounded(start: () => ChildProcess, group: ControlGroup, resources: ResourceLimits): ChildProcess {
  try {
    const child = group.around(start);
    group.bound(resources);
    return child;
  } catch (error) {
    group.kill();
    throw error;
  }
}
