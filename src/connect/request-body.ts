import { Code, ConnectError } from "@connectrpc/connect";
import { TimedSteps } from "../errors/timed-steps.ts";
import { unavailableError } from "../errors/unavailable.ts";

/** Connect's own conversion reads 4 KiB at a time, which costs a large message a hundred rounds. */
export const CHUNK_BYTES = 64 << 10;

/** How much is made ready for the first bytes: few, since they may be long in coming. */
const FIRST_CHUNK_BYTES = 8 << 10;

/**
 * How much is waited for after the first bytes, or the end. A client's writes come as the small pieces that they were, two or
 * more to the message. It must be so little that a slow client sends it within MAX_SILENCE_MS.
 */
const MIN_CHUNK_BYTES = 32 << 10;

/**
 * How much is still read of a request that has been answered, and for how long. A response that ends before its request
 * breaks the connection, and with HTTP/1.1 the client may find that before it finds the response.
 */
const MAX_DRAINED_BYTES = 64 << 20;
const MAX_DRAIN_MS = 5000;

/**
 * Counts bytes that a handler is about to get. Undefined where there is nothing to wait for.
 * @throws ConnectError if the handler must not have them
 */
export type CountBytes = (bytes: number) => Promise<void> | undefined;

/** How long a handler waits for the next chunk. A client that is silent for longer is taken for lost: it may hold memory. */
const MAX_SILENCE_MS = 60_000;

const RETRY_AFTER_MS = 1000;

/** A request's body, as its handler reads it, and what the handler leaves of it. */
export class RequestBody implements AsyncIterable<Uint8Array> {
  readonly #reader: ReadableStreamBYOBReader | undefined;
  readonly #chunkBytes: number;
  readonly #count: CountBytes;
  readonly #reads: TimedSteps;
  #last: Promise<unknown> = Promise.resolve();
  /** Whether something has come: then it can be looked at while more comes. */
  #hasBegun = false;
  #hasEnded = false;

  constructor({ body, headers }: Request, count: CountBytes, maxSilenceMs = MAX_SILENCE_MS) {
    this.#count = count;
    this.#reads = new TimedSteps(maxSilenceMs, () =>
      unavailableError(`no byte of the request came for ${maxSilenceMs / 1000} s; send it again`, RETRY_AFTER_MS),
    );
    const announcedBytes = Number(headers.get("content-length") ?? CHUNK_BYTES);
    this.#chunkBytes = Math.min(Math.max(announcedBytes, 1), CHUNK_BYTES) || CHUNK_BYTES;
    this.#reader = body?.getReader({ mode: "byob" });
  }

  /** Has no `return`: a handler that wants no more of the body must not cancel what is to be drained. */
  [Symbol.asyncIterator](): { next(): Promise<IteratorResult<Uint8Array, undefined>> } {
    return {
      next: async () => {
        const chunkBytes = this.#hasBegun ? this.#chunkBytes : Math.min(this.#chunkBytes, FIRST_CHUNK_BYTES);
        const value = await this.#readInTime(new Uint8Array(chunkBytes));
        if (value === undefined) {
          this.#hasEnded = true;
          this.#reads.end();
          return { done: true, value };
        }
        this.#hasBegun = true;
        const counted = this.#count(value.length);
        if (counted !== undefined) await counted;
        return { done: false, value };
      },
    };
  }

  /** Whether all of it has been read, so that there is nothing to drain. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Reads what is still to come, and drops it, within limits. */
  async drain(): Promise<void> {
    this.#reads.end();
    if (this.#hasEnded) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, MAX_DRAIN_MS, undefined);
    });
    try {
      // A read that the handler gave up may still be under way, and a stream takes one at a time.
      await Promise.race([this.#last, timeout]);
      let buffer = new Uint8Array(CHUNK_BYTES);
      for (let drainedBytes = 0; drainedBytes <= MAX_DRAINED_BYTES;) {
        const dropped = await Promise.race([this.#read(buffer), timeout]);
        if (dropped === undefined) return;
        drainedBytes += dropped.length;
        // The same memory again: draining many requests at once must not need more of it.
        buffer = new Uint8Array(dropped.buffer);
      }
    } catch {
      // The connection is gone, and with it whoever would have got the answer.
    } finally {
      clearTimeout(timer);
    }
  }

  /** @throws ConnectError UNAVAILABLE if nothing comes for too long, CANCELLED if the client is gone */
  async #readInTime(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
    try {
      return await this.#reads.within(this.#read(buffer));
    } catch (error) {
      // What else there is to go wrong is the connection, and no fault of ours.
      throw error instanceof ConnectError ? error : new ConnectError("the request was cut off", Code.Canceled);
    }
  }

  /** The next bytes, in the memory of `buffer`, or undefined at the end. */
  async #read(buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#reader === undefined) return undefined;
    const minBytes = this.#hasBegun ? Math.min(MIN_CHUNK_BYTES, buffer.length) : 1;
    const reading = this.#reader.readAtLeast(minBytes, buffer);
    this.#last = reading;
    const { done, value } = await reading;
    return done ? undefined : value;
  }
}
