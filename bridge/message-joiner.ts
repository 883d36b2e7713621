import { FrameError, FrameScanner } from "./frames.ts";
import type { RequestMemory } from "./request-memory.ts";

/**
 * Joins the pieces in which a client's message comes: HTTP/2 brings 16 KiB at a time, and each piece that is passed on alone
 * costs the endpoint a chunk of HTTP/1.1 with a header of its own, and a turn of its event loop.
 *
 * What is held is the beginning of a message, whose rest is on its way and without which the endpoint can do nothing. So
 * holding it back keeps nobody waiting who is not waiting for the client anyway, and needs no timer.
 */
export class MessageJoiner {
  readonly #maxBytes: number;
  readonly #memory: RequestMemory;
  readonly #scanner = new FrameScanner();
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  /**
   * @param maxBytes what is held is less; what is passed on at once is less than this and the piece that came last together
   * @param memory where there is no room in it, nothing is held
   */
  constructor(maxBytes: number, memory: RequestMemory) {
    this.#maxBytes = maxBytes;
    this.#memory = memory;
  }

  /** Whether the stream may not end here. */
  get midMessage(): boolean {
    return this.#scanner.midFrame;
  }

  /**
   * Takes the next piece. Returns those that are to be passed on now, together: all that belongs to whole messages is among
   * them.
   * @throws FrameError on what is no message. Nothing more may be pushed after that.
   */
  push(piece: Uint8Array): Uint8Array[] {
    if (this.#scanner.scan(piece) < piece.length) throw new FrameError("it has a gRPC-Web trailer frame");
    // Of a message that is not whole, what is not passed on.
    const begunBytes = Math.min(this.#scanner.begunBytes, this.#heldBytes + piece.length);
    const passedBytes = Math.max(piece.length - begunBytes, 0);
    const isHeld = begunBytes > 0 && begunBytes < this.#maxBytes && this.#memory.take(piece.length - passedBytes);
    if (!isHeld) return [...this.flush(), piece];
    const passed = passedBytes > 0 ? [...this.flush(), piece.subarray(0, passedBytes)] : [];
    this.#held.push(piece.subarray(passedBytes));
    this.#heldBytes += piece.length - passedBytes;
    return passed;
  }

  /** Lets go of what is held, and returns it. */
  flush(): Uint8Array[] {
    const held = this.#held;
    this.#memory.give(this.#heldBytes);
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }
}
