import type { Writable } from "node:stream";

/** When so much is on its way to the kernel, the endpoint is slower than the client; when less than half is, it has caught up. */
const HIGH_WATER_BYTES = 128 * 1024;

/**
 * The body of a request to the endpoint, to which pieces are written together. Node's HTTP/1.1 makes one chunk of what is
 * written corked, but then its own `drain` takes no notice of what the socket still has; so what is on its way is counted
 * here.
 */
export class PacedBody {
  readonly #body: Writable;
  #unsentBytes = 0;
  #onDrained: (() => void) | undefined;

  constructor(body: Writable) {
    this.#body = body;
  }

  /** Whether no more should be written before it is drained. */
  get blocked(): boolean {
    return this.#unsentBytes >= HIGH_WATER_BYTES;
  }

  /** Writes pieces as one chunk, without copying them. */
  write(pieces: readonly Uint8Array[]): void {
    const last = pieces.at(-1);
    if (last === undefined) return;
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    this.#unsentBytes += bytes;
    this.#body.cork();
    for (const piece of pieces.slice(0, -1)) this.#body.write(piece);
    this.#body.write(last, (error) => {
      // Of a request that has failed nothing more is to be taken: it may have to be sent again.
      if (error == null) this.#sent(bytes);
    });
    this.#body.uncork();
  }

  /** Calls back once the endpoint has caught up; never if the request fails before. The latest callback counts. */
  onceDrained(callback: () => void): void {
    this.#onDrained = callback;
  }

  end(): void {
    this.#body.end();
  }

  #sent(bytes: number): void {
    this.#unsentBytes -= bytes;
    if (this.#unsentBytes >= HIGH_WATER_BYTES / 2) return;
    const callback = this.#onDrained;
    this.#onDrained = undefined;
    callback?.();
  }
}
