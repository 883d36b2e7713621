import { takeMemory, tryTakeMemory } from "./isolate-memory.ts";
import type { Release } from "./memory-budget.ts";

/** The memory of something that is held whole while it comes: as much as there is of it, not what it says that it will be. */
export class GrowingHold {
  readonly #owner: string | undefined;
  readonly #freeBytes: number;
  readonly #releases: Release[] = [];
  #heldBytes = 0;
  #isReleased = false;

  /**
   * @param owner see takeMemory
   * @param freeBytes so much counts for nothing: what is small need not wait for what is large
   */
  constructor(owner: string | undefined, freeBytes: number) {
    this.#owner = owner;
    this.#freeBytes = freeBytes;
  }

  /**
   * It is about to be larger by so much. Undefined where there is room at once.
   * @throws ConnectError UNAVAILABLE if there is still no room after some seconds
   */
  grow(bytes: number): Promise<void> | undefined {
    this.#heldBytes += bytes;
    const counted = Math.min(bytes, this.#heldBytes - this.#freeBytes);
    if (counted <= 0) return undefined;
    const release = tryTakeMemory(counted, this.#owner);
    if (release !== undefined) {
      this.#releases.push(release);
      return undefined;
    }
    return takeMemory(counted, this.#owner).then((late) => {
      if (this.#isReleased) late();
      else this.#releases.push(late);
    });
  }

  /** For good: what it still waits for is given back when it comes. */
  release(): void {
    this.#isReleased = true;
    for (const release of this.#releases.splice(0)) release();
  }
}
