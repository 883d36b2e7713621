/** Up to this size a buffer is made at once as large as it is going to be. */
const FIRST_BYTES = 256 << 10;

/**
 * Gathers bytes of which there will be at most so many. It doubles as they come: what is only announced takes no memory, and
 * pieces that are small don't keep the large buffers that they came in.
 */
export class GrowingBuffer {
  readonly #mostBytes: number;
  #buffer = new Uint8Array(0);
  #filledBytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** What has been gathered; not to be changed. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#filledBytes);
  }

  /** @param piece of which there must be room for all */
  append(piece: Uint8Array): void {
    const neededBytes = this.#filledBytes + piece.length;
    if (neededBytes > this.#buffer.length) {
      const largerBytes = Math.max(neededBytes, 2 * this.#buffer.length, FIRST_BYTES);
      const larger = new Uint8Array(Math.min(largerBytes, this.#mostBytes));
      larger.set(this.bytes);
      this.#buffer = larger;
    }
    this.#buffer.set(piece, this.#filledBytes);
    this.#filledBytes = neededBytes;
  }
}
