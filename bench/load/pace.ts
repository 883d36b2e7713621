import { setTimeout } from "node:timers/promises";

/** Lets bytes go at so many a second, whoever they are of. */
export class Pace {
  readonly #bytesPerMs: number;
  /** When all that has gone so far should have. */
  #dueMs = 0;

  /** @param bytesPerSecond Infinity for no limit */
  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** Waits until so many more bytes may go. Undefined where there is nothing to wait for. */
  next(bytes: number): Promise<void> | undefined {
    if (this.#bytesPerMs === Infinity) return undefined;
    const nowMs = performance.now();
    this.#dueMs = Math.max(this.#dueMs, nowMs) + bytes / this.#bytesPerMs;
    return setTimeout(this.#dueMs - nowMs);
  }
}
