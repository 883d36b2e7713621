import { open } from "node:fs/promises";
import { join } from "node:path";
import type { WorkRequestSchema, WorkResponse } from "../../protos/gen/blaze/worker/worker_protocol_pb.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CommandRun } from "../runner/messages.ts";
import type { InteractiveCommand, Runner } from "../runner/runner.ts";
import { errorMessage } from "../system-error.ts";
import { LONGEST_TIMER_MS } from "../time-limit.ts";
import { encodeWorkRequest, WorkResponseReader, type WorkerProtocol } from "./worker-protocol.ts";

/** How long a worker has to answer a request that was cancelled. */
const CANCEL_GRACE_MS = 5_000;

/** How much of the end of a worker's stderr goes into the message about its death. */
const SHOWN_STDERR_BYTES = 2_000;

/** A worker died, or did not keep to the protocol. It says nothing about the action, which can be run without it. */
export class WorkerFailure extends Error {
  override readonly name = "WorkerFailure";
}

/** A worker did not answer a request within the action's time limit. */
export class WorkerTimeout extends Error {
  override readonly name = "WorkerTimeout";
}

export interface RequestOptions {
  readonly timeoutMs: number;
  /** Whether the worker understands that a request is cancelled; one that doesn't is killed instead. */
  readonly takesCancellation: boolean;
  readonly signal: AbortSignal;
}

/** One process that does one request after another. It is started when the inputs of its first request are in place. */
export class PersistentWorker {
  /** The worker's alone. */
  readonly directory: string;
  readonly #runner: Runner;
  readonly #onEnd: () => void;
  #command: InteractiveCommand | undefined;
  #stderrPath = "";
  #reader: WorkResponseReader | undefined;
  #protocol: WorkerProtocol = "proto";
  #pending: PromiseWithResolvers<WorkResponse> | undefined;
  /** Why it can't be used any more. */
  #failure: string | undefined;
  #answered = 0;
  #hasEnded = false;
  readonly #ended = Promise.withResolvers<undefined>();

  /** @param onEnd called once, when its process has ended or will never be started */
  constructor(directory: string, runner: Runner, onEnd: () => void) {
    this.directory = directory;
    this.#runner = runner;
    this.#onEnd = onEnd;
  }

  /** Where the inputs of its requests are laid out. */
  get root(): string {
    return join(this.directory, "root");
  }

  get isStarted(): boolean {
    return this.#command !== undefined;
  }

  /** Whether another request can be sent to it. */
  get isReady(): boolean {
    return this.#failure === undefined && this.#pending === undefined;
  }

  /** How many requests it has done. */
  get answered(): number {
    return this.#answered;
  }

  /** @param run its `stderrPath` is kept as long as the worker lives */
  start(run: CommandRun, protocol: WorkerProtocol): void {
    this.#protocol = protocol;
    this.#stderrPath = run.stderrPath;
    this.#reader = new WorkResponseReader(protocol, run.maxStdioBytes);
    const command = this.#runner.open(run, (bytes) => {
      this.#take(bytes);
    });
    this.#command = command;
    command.ended.then(
      ({ exitCode }) => {
        this.#end(`it ended with exit code ${exitCode}`);
      },
      (error: unknown) => {
        this.#end(errorMessage(error));
      },
    );
  }

  /**
   * Has the worker do a request.
   * @throws WorkerFailure, WorkerTimeout, or the signal's reason; in each case the worker is killed, unless it has
   *   answered that the request is cancelled
   */
  async request(
    request: MessageInitShape<typeof WorkRequestSchema>,
    { timeoutMs, takesCancellation, signal }: RequestOptions,
  ): Promise<WorkResponse> {
    signal.throwIfAborted();
    if (this.#failure !== undefined) throw await this.#failed();
    const pending = Promise.withResolvers<WorkResponse>();
    this.#pending = pending;
    const stopped = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => {
        stopped.reject(new WorkerTimeout("the worker did not answer in time"));
      },
      Math.min(timeoutMs, LONGEST_TIMER_MS),
    );
    const onAbort = (): void => {
      stopped.reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      this.#write(request);
      const response = await Promise.race([pending.promise, stopped.promise]);
      this.#answered++;
      return response;
    } catch (error) {
      if (signal.aborted && takesCancellation && (await this.#cancel(pending.promise))) throw error;
      this.kill("it was stopped in the middle of a request");
      throw error instanceof WorkerFailure ? await this.#failed() : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      this.#pending = undefined;
    }
  }

  /** Ends the process, whatever it does. */
  kill(why: string): void {
    this.#failure ??= why;
    if (this.#command === undefined) this.#end(why);
    else this.#command.kill();
  }

  /** Whether its process has ended, or will never be started. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Resolves when that is so. */
  get ended(): Promise<unknown> {
    return this.#ended.promise;
  }

  /** Whether the worker has given the request up, or done it. */
  async #cancel(answer: Promise<WorkResponse>): Promise<boolean> {
    this.#write({ cancel: true });
    const grace = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => {
      grace.resolve(false);
    }, CANCEL_GRACE_MS);
    const answered = answer.then(
      () => true,
      () => false,
    );
    const result = await Promise.race([answered, grace.promise]);
    clearTimeout(timer);
    return result;
  }

  #write(request: MessageInitShape<typeof WorkRequestSchema>): void {
    this.#command?.write(encodeWorkRequest(this.#protocol, request));
  }

  #take(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      for (const response of this.#reader?.take(bytes) ?? []) {
        if (this.#pending === undefined || response.requestId !== 0) {
          throw new WorkerFailure(`it answered request ${response.requestId}, which it was not given`);
        }
        this.#pending.resolve(response);
      }
    } catch (error) {
      this.#misbehaved(errorMessage(error));
    }
  }

  #misbehaved(why: string): void {
    this.#failure = why;
    this.#pending?.reject(new WorkerFailure(why));
    this.#command?.kill();
  }

  #end(why: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#failure ??= why;
    this.#pending?.reject(new WorkerFailure(this.#failure));
    this.#onEnd();
    this.#ended.resolve(undefined);
  }

  async #failed(): Promise<WorkerFailure> {
    const stderr = await tail(this.#stderrPath);
    return new WorkerFailure(`the persistent worker failed: ${this.#failure ?? ""}${stderr && `; stderr: ${stderr}`}`);
  }
}

/** The end of a file; empty if there is none. */
async function tail(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      const start = Math.max(0, size - SHOWN_STDERR_BYTES);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
      return buffer.toString("utf8", 0, bytesRead).trim();
    } finally {
      await file.close();
    }
  } catch {
    // Nothing was written, or it is gone with the rest of the worker.
    return "";
  }
}
