import type { ClientCall } from "./client-call.ts";
import type { RequestMemory } from "./request-memory.ts";

/** How much that nobody has asked for yet is taken from the client. */
const HIGH_WATER_BYTES = 64 * 1024;

/** A request's bytes in the order in which the client sent them. */
export interface RequestSource {
  /**
   * Hands them on as they come, until the call is over.
   * @param take returns false when it can't take more for now; the client is then held back until `resumeRequest`.
   * @param end is called when there is no more, unless the call is over.
   */
  readRequest(take: (chunk: Uint8Array) => boolean, end: () => void): void;

  resumeRequest(): void;
}

/**
 * A request that is looked into before it is decided who carries it. What was looked at is held, and handed on again by
 * `readRequest`.
 */
export class HeldRequest implements RequestSource {
  readonly maxHeldBytes: number;
  readonly #call: ClientCall;
  readonly #memory: RequestMemory | undefined;
  #takenBytes = 0;
  #chunks: Uint8Array[] = [];
  /** How many of the chunks `next` has returned, how many bytes they have, and how many are in the others. */
  #pulled = 0;
  #pulledBytes = 0;
  #waitingBytes = 0;
  #holding = true;
  #ended = false;
  #wake: (() => void) | undefined;
  #take = (chunk: Uint8Array): boolean => this.#hold(chunk);
  #end = (): void => {
    this.#ended = true;
    this.#wake?.();
  };

  /**
   * @param maxHeldBytes when so much is held, no more is looked at
   * @param memory nor when there is no room there; what was looked at takes it until it is handed on or the call is over
   */
  constructor(call: ClientCall, maxHeldBytes: number, memory?: RequestMemory) {
    this.maxHeldBytes = maxHeldBytes;
    this.#call = call;
    this.#memory = memory;
    call.readRequest(
      (chunk) => this.#take(chunk),
      () => {
        this.#end();
      },
    );
    call.onceOver(() => {
      this.#giveBack();
      this.#wake?.();
    });
  }

  /**
   * The next chunk, or undefined when the request has ended, the call is over, or as much is held as may be, by it alone
   * or together with others. One caller may wait at a time.
   */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#pulledBytes >= this.maxHeldBytes) {
      return undefined;
    }
    while (this.#pulled === this.#chunks.length) {
      if (this.#ended || this.#call.isOver()) {
        return undefined;
      }
      this.#call.resumeRequest();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const chunk = this.#chunks[this.#pulled];
    const bytes = chunk?.length ?? 0;
    if (!this.#takeRoom(bytes)) return undefined;
    this.#waitingBytes -= bytes;
    if (this.#holding) {
      this.#pulled++;
      this.#pulledBytes += bytes;
    } else {
      this.#chunks.shift();
    }
    return chunk;
  }

  /** Lets go of what was looked at, now and from now on: it can't be read again. */
  release(): void {
    this.#giveBack();
    this.#holding = false;
    this.#chunks.splice(0, this.#pulled);
    this.#pulled = 0;
    this.#pulledBytes = 0;
  }

  /** Hands on all of the request that is held or still to come; `next` may not be called any more. */
  readRequest(take: (chunk: Uint8Array) => boolean, end: () => void): void {
    const held = Buffer.concat(this.#chunks);
    this.#giveBack();
    this.#chunks = [];
    this.#pulled = 0;
    this.#take = take;
    this.#end = end;
    const ready = held.length === 0 || take(held);
    if (this.#ended) {
      end();
    } else if (ready) {
      this.#call.resumeRequest();
    }
  }

  resumeRequest(): void {
    this.#call.resumeRequest();
  }

  #takeRoom(bytes: number): boolean {
    if (this.#memory === undefined || !this.#holding) return true;
    if (this.#call.isOver() || !this.#memory.take(bytes)) return false;
    this.#takenBytes += bytes;
    return true;
  }

  #giveBack(): void {
    this.#memory?.give(this.#takenBytes);
    this.#takenBytes = 0;
  }

  #hold(chunk: Uint8Array): boolean {
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#wake?.();
    return this.#waitingBytes < HIGH_WATER_BYTES;
  }
}
