import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { Code } from "@connectrpc/connect";
import { MAX_TIMER_MS } from "./grpc-timeout.ts";
import { fitHeaders, responseContentType } from "./metadata.ts";
import { resetLater, stopClient } from "./stop-client.ts";
import { fitTrailers, statusTrailers, type Trailers, withPlainMessage } from "./trailers.ts";

/**
 * The header list that is sent at most to a client whose settings name no limit. Such clients have one: Node's ends the
 * whole connection, with every call on it, at 64 KiB.
 */
const UNANNOUNCED_HEADER_LIST_BYTES = 60 * 1024;

/** The reason that an ended call's signal gives; of its own, an AbortController makes a costly one each time. */
const OVER = new Error("the call is over");

/** What the settings of node:http2 say where the client names no limit. */
const UNLIMITED = 2 ** 32 - 1;

export interface ClientCallOptions {
  /** `/{package.Service}/{Method}` */
  readonly path: string;
  readonly metadata: IncomingHttpHeaders;
  /** From `grpc-timeout`; undefined is for ever. */
  readonly timeoutMs: number | undefined;
}

/**
 * The client's side of one native gRPC call: its request's bytes, and a response that ends once, with a status, however
 * it comes to its end: `finish`, the deadline, or the client's own reset.
 */
export class ClientCall {
  readonly path: string;
  readonly metadata: IncomingHttpHeaders;

  readonly #stream: ServerHttp2Stream;
  readonly #ended = new AbortController();
  /** On the clock of `performance.now()`. */
  readonly #deadlineMs: number | undefined;
  readonly #deadlineTimer: NodeJS.Timeout | undefined;
  #trailers: Trailers | undefined;

  constructor(stream: ServerHttp2Stream, options: ClientCallOptions) {
    this.path = options.path;
    this.metadata = options.metadata;
    this.#stream = stream;
    const { timeoutMs } = options;
    if (timeoutMs !== undefined && timeoutMs <= MAX_TIMER_MS) {
      this.#deadlineMs = performance.now() + timeoutMs;
      this.#deadlineTimer = setTimeout(() => {
        this.#passDeadline(timeoutMs);
      }, timeoutMs);
    }
    stream.once("wantTrailers", () => {
      stream.sendTrailers(this.#trailers ?? statusTrailers(Code.Internal, "the call has no status"));
      stopClient(stream);
    });
    stream.once("close", () => {
      clearTimeout(this.#deadlineTimer);
      this.#ended.abort(OVER);
    });
  }

  /** Aborted once the call is over: finished, past its deadline, or given up by the client. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Calls back when the call is over. */
  onceOver(callback: () => void): void {
    this.signal.addEventListener("abort", callback, { once: true });
  }

  isOver(): boolean {
    return this.#ended.signal.aborted;
  }

  /** What the call was finished with; undefined while it is not over, and where the client gave it up. */
  get trailers(): Trailers | undefined {
    return this.#trailers;
  }

  /** What is left of the call's time, in ms; undefined without a deadline. */
  get remainingMs(): number | undefined {
    return this.#deadlineMs === undefined ? undefined : Math.max(this.#deadlineMs - performance.now(), 0);
  }

  /** Whether the client is slower than the response: nothing more should be written before `drained`. */
  get blocked(): boolean {
    return this.#stream.writableNeedDrain;
  }

  /**
   * Hands on the request's bytes as they come, until the call is over.
   * @param take returns false when it can't take more for now; the client is then held back until `resumeRequest`.
   * @param end is called when the client has sent all, unless the call is over.
   */
  readRequest(take: (chunk: Uint8Array) => boolean, end: () => void): void {
    this.#stream.on("data", (chunk: Buffer) => {
      if (!this.isOver() && !take(chunk)) {
        this.#stream.pause();
      }
    });
    const ended = (): void => {
      // A reset with NO_ERROR also reads as an end, but of both directions.
      if (!this.isOver() && !this.#stream.closed) {
        end();
      }
    };
    // A request without data ends unasked, and perhaps before it is read.
    if (this.#stream.readableEnded) {
      ended();
    } else {
      this.#stream.once("end", ended);
    }
  }

  resumeRequest(): void {
    this.#stream.resume();
  }

  /** Sends the response's headers, of which the metadata are left out where the client could not read so much; those of a second attempt at the same call are dropped. */
  begin(headers: OutgoingHttpHeaders): void {
    if (!this.isOver() && !this.#stream.headersSent) {
      this.#stream.respond(
        { ...fitHeaders(headers, this.#maxHeaderListBytes), ":status": 200 },
        { waitForTrailers: true },
      );
    }
  }

  /** Sends bytes of message frames, after `begin`. */
  write(bytes: Uint8Array): void {
    if (!this.isOver() && bytes.length > 0) {
      this.#stream.write(bytes);
    }
  }

  /** Calls back once the client has caught up; never if the call is over before. */
  onceDrained(callback: () => void): void {
    this.#stream.once("drain", callback);
  }

  /** Resolves once the client has caught up, or the call is over. */
  async drained(): Promise<void> {
    while (!this.isOver() && this.blocked) {
      await new Promise<void>((resolve) => {
        const settle = (): void => {
          this.#stream.off("drain", settle);
          this.signal.removeEventListener("abort", settle);
          resolve();
        };
        this.#stream.on("drain", settle);
        this.signal.addEventListener("abort", settle);
      });
    }
  }

  /** Ends the call with its status. Only the first end counts. */
  finish(trailers: Trailers): void {
    if (this.isOver() || this.#stream.closed) {
      return;
    }
    clearTimeout(this.#deadlineTimer);
    this.#trailers = fitTrailers(withPlainMessage(trailers), this.#maxHeaderListBytes);
    if (this.#stream.headersSent) {
      this.#stream.end();
    } else {
      this.#stream.respond(
        { ":status": 200, "content-type": responseContentType(this.metadata), ...this.#trailers },
        { endStream: true },
      );
      stopClient(this.#stream);
    }
    this.#ended.abort(OVER);
  }

  /** Ends the call with a status of the bridge's own. */
  fail(code: Code, message: string): void {
    this.finish(statusTrailers(code, message));
  }

  get #maxHeaderListBytes(): number {
    const announced = this.#stream.session?.remoteSettings.maxHeaderListSize ?? UNLIMITED;
    return announced === UNLIMITED ? UNANNOUNCED_HEADER_LIST_BYTES : announced;
  }

  #passDeadline(timeoutMs: number): void {
    this.fail(Code.DeadlineExceeded, `the call's deadline of ${timeoutMs} ms has passed`);
    resetLater(this.#stream, constants.NGHTTP2_CANCEL);
  }
}
