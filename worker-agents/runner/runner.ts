import { fork, type ChildProcess } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { endAllGroups, formatControlGroups, type Controller, type ControlGroups } from "./control-groups.ts";
import { LONGEST_TIMER_MS } from "../time-limit.ts";
import { killAbandoned, OUTLIVING_OPTIONS, startersEnvironment } from "./process-group.ts";
import { isFromRunner, type CommandEnd, type CommandFailure, type CommandRun, type ToRunner } from "./messages.ts";

/** More than killing a command may take: see run-command.ts. */
const STUCK_AFTER_MS = 30_000;

/** The machine failed a command: it says nothing about the command itself. */
export class RunnerError extends Error {
  override readonly name = "RunnerError";
  /** Of the operating system's error, where there was one. */
  readonly code: string | undefined;

  constructor({ message, code }: CommandFailure) {
    super(message);
    this.code = code;
  }
}

/** A command that is talked to while it runs. */
export interface InteractiveCommand {
  /** Its end, or RunnerError. */
  readonly ended: Promise<CommandEnd>;
  /** Writes to its stdin. */
  write(bytes: Uint8Array): void;
  /** Kills it and all that it started. */
  kill(): void;
}

interface Waiting {
  readonly command: CommandRun;
  readonly onOutput: ((bytes: Uint8Array) => void) | undefined;
  resolve(end: CommandEnd): void;
  reject(error: RunnerError): void;
}

/**
 * Runs commands through a small process of their own, for two reasons. Starting a process costs time in proportion to
 * the memory of the one that starts it: measured, a Node.js process of 54 MB starts 980 processes a second, one of
 * 127 MB 300, one of 362 MB 86. And when the agent dies, however it does, the runner notices and kills what runs.
 */
export class Runner {
  readonly #groups: ControlGroups | undefined;
  readonly #stuckAfterMs: number;
  #process: ChildProcess | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, Waiting>();

  /**
   * @param groups where commands have control groups
   * @param stuckAfterMs how long after its time limit a command may go on before the runner process is taken for stuck
   */
  constructor(groups?: ControlGroups, stuckAfterMs = STUCK_AFTER_MS) {
    this.#groups = groups;
    this.#stuckAfterMs = stuckAfterMs;
  }

  /** What commands are held to of that which they may use. */
  get bounds(): readonly Controller[] {
    return this.#groups?.controllers ?? [];
  }

  /**
   * Runs a command to its end. When `signal` aborts, the command and all that it started are killed, and the promise
   * rejects with the signal's reason once they have gone.
   * @throws RunnerError
   */
  async run(command: CommandRun, signal: AbortSignal): Promise<CommandEnd> {
    signal.throwIfAborted();
    const { id, ended } = this.#begin(command);
    let timer = this.#expectEnd(command.timeoutMs);
    const kill = (): void => {
      this.#send({ type: "kill", id });
      clearTimeout(timer);
      timer = this.#expectEnd(0);
    };
    signal.addEventListener("abort", kill, { once: true });
    try {
      const end = await ended;
      signal.throwIfAborted();
      return end;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", kill);
    }
  }

  /** Starts a command that reads from its stdin what it is to do, and tells of what it writes to its stdout. */
  open(command: CommandRun, onOutput: (bytes: Uint8Array) => void): InteractiveCommand {
    const { id, ended } = this.#begin({ ...command, interactive: true }, onOutput);
    return {
      ended,
      write: (bytes) => {
        this.#send({ type: "input", id, base64: Buffer.from(bytes).toString("base64") });
      },
      kill: () => {
        if (this.#waiting.has(id)) this.#send({ type: "kill", id });
      },
    };
  }

  /** The runner process ends a command in time, unless it is stuck itself, on a dead disk for example: then it has to go. */
  #expectEnd(timeoutMs: number): NodeJS.Timeout {
    const runner = this.#process;
    return setTimeout(() => runner?.kill("SIGKILL"), Math.min(timeoutMs + this.#stuckAfterMs, LONGEST_TIMER_MS));
  }

  #begin(
    command: CommandRun,
    onOutput?: (bytes: Uint8Array) => void,
  ): { readonly id: number; readonly ended: Promise<CommandEnd> } {
    const id = this.#nextId++;
    const ended = new Promise<CommandEnd>((resolve, reject) => {
      this.#waiting.set(id, { command, onOutput, resolve, reject });
    });
    this.#send({ type: "run", id, command });
    return { id, ended };
  }

  /** Starts the process, if it is not there yet, so that the first command need not wait for it. */
  start(): void {
    this.#runnerProcess();
  }

  /** Ends the process; commands that still run are killed. */
  close(): void {
    if (this.#process?.connected === true) this.#process.disconnect();
  }

  #send(message: ToRunner): void {
    this.#runnerProcess().send(message, (error) => {
      if (error !== null) this.#fail(message.id, `the runner process can't be reached: ${error.message}`);
    });
  }

  #runnerProcess(): ChildProcess {
    if (this.#process !== undefined) return this.#process;
    // The sibling of this module, in the source as in the build.
    const program = new URL(`./runner-process${extname(import.meta.url)}`, import.meta.url);
    const runner = fork(fileURLToPath(program), this.#groups === undefined ? [] : [formatControlGroups(this.#groups)], {
      ...OUTLIVING_OPTIONS,
      execArgv: [],
      env: startersEnvironment(),
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const lost = (why: string): void => {
      if (this.#process !== runner) return;
      this.#process = undefined;
      if (this.#groups !== undefined) endAllGroups(this.#groups);
      for (const [id, { command }] of [...this.#waiting]) {
        killAbandoned(command.ownDirectory);
        this.#fail(id, `the runner process ${why}`);
      }
    };
    runner.on("message", (message: unknown) => {
      if (!isFromRunner(message)) return;
      const waiting = this.#waiting.get(message.id);
      if (message.type === "output") {
        waiting?.onOutput?.(Buffer.from(message.base64, "base64"));
        return;
      }
      this.#waiting.delete(message.id);
      if (message.type === "ended") waiting?.resolve(message.end);
      else waiting?.reject(new RunnerError(message));
    });
    runner.on("error", (error) => {
      lost(`failed: ${error.message}`);
    });
    runner.on("exit", (code, signal) => {
      lost(`ended (${signal ?? `exit code ${code ?? 0}`})`);
    });
    this.#process = runner;
    return runner;
  }

  #fail(id: number, message: string): void {
    this.#waiting.get(id)?.reject(new RunnerError({ message }));
    this.#waiting.delete(id);
  }
}
