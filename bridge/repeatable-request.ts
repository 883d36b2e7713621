import type { RequestSource } from "./held-request.ts";
import type { RequestMemory } from "./request-memory.ts";

/**
 * A request that is held while it is read, so that it can be read again from its beginning, by one reader at a time. It is
 * let go of where it is larger than may be held.
 */
export class RepeatableRequest implements RequestSource {
  readonly #source: RequestSource;
  readonly #memory: RequestMemory;
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #heldBytes = 0;
  #isHeld = true;
  #ended = false;
  #reader: { readonly take: (chunk: Uint8Array) => boolean; readonly end: () => void } | undefined;

  /** @param maxBytes of it alone */
  constructor(source: RequestSource, maxBytes: number, memory: RequestMemory) {
    this.#source = source;
    this.#maxBytes = maxBytes;
    this.#memory = memory;
  }

  /** Whether all that was read of it is still here. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  readRequest(take: (chunk: Uint8Array) => boolean, end: () => void): void {
    const begun = this.#reader !== undefined;
    this.#reader = { take, end };
    if (!begun) {
      this.#source.readRequest(
        (chunk) => {
          this.#hold(chunk);
          return this.#reader?.take(chunk) ?? true;
        },
        () => {
          this.#ended = true;
          this.#reader?.end();
        },
      );
      return;
    }
    for (const chunk of this.#chunks) take(chunk);
    if (this.#ended) end();
    else this.#source.resumeRequest();
  }

  resumeRequest(): void {
    this.#source.resumeRequest();
  }

  /** It won't be read again. */
  release(): void {
    this.#memory.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#chunks = [];
    this.#isHeld = false;
  }

  #hold(chunk: Uint8Array): void {
    if (!this.#isHeld) return;
    if (this.#heldBytes + chunk.length > this.#maxBytes || !this.#memory.take(chunk.length)) {
      this.release();
      return;
    }
    this.#heldBytes += chunk.length;
    this.#chunks.push(chunk);
  }
}
