import type { Bucket } from "./token-bucket.ts";

/** How long what was taken in advance may lie about: else many isolates' remainders would add up to another quota. */
const LIFE_MS = 10_000;

/** For how long a spender takes in advance, at the rate at which the bucket fills. */
const ADVANCE_MS = 5000;

/** Takes from the bucket: how much was granted, or when to try again. */
export type Take = (wanted: number, inAdvance: number) => Promise<{ granted: number; retryAfterMs?: number }>;

/**
 * What an isolate may spend of a bucket without asking whoever keeps it. It takes in advance what a few seconds need, and
 * remembers the last refusal for as long as it holds: so the keeper is asked once for many calls, whether they are let in or
 * not.
 * What is not spent in time is lost, and never spent twice.
 */
export class Allowance {
  readonly #bucket: Bucket;
  #credit = 0;
  #expiresAtMs = 0;
  #refusedUntilMs = 0;
  #refusedAmount = 0;
  #taking = 0;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** Spends what is at hand, if that is enough. */
  trySpend(amount: number, nowMs: number): boolean {
    if (nowMs >= this.#expiresAtMs) this.#credit = 0;
    if (amount > this.#credit) return false;
    this.#credit -= amount;
    return true;
  }

  /** For how long so much, or more, is still refused; 0 if that isn't known. There may well be enough for less. */
  refusedForMs(amount: number, nowMs: number): number {
    return amount < this.#refusedAmount ? 0 : Math.max(this.#refusedUntilMs - nowMs, 0);
  }

  /**
   * Takes and spends.
   * @returns undefined if it was granted, else how long to wait
   */
  async takeAndSpend(amount: number, nowMs: () => number, take: Take): Promise<number | undefined> {
    // While others ask, each asks for itself alone: together they would take many times what is needed.
    const inAdvance = this.#taking > 0 ? 0 : Math.floor((this.#bucket.amount * ADVANCE_MS) / this.#bucket.periodMs);
    this.#taking += 1;
    try {
      const { granted, retryAfterMs = 0 } = await take(amount, inAdvance);
      if (granted < amount) {
        this.#refusedUntilMs = nowMs() + retryAfterMs;
        this.#refusedAmount = amount;
        return retryAfterMs;
      }
      if (granted > amount) {
        this.#credit += granted - amount;
        this.#expiresAtMs = nowMs() + LIFE_MS;
      }
      return undefined;
    } finally {
      this.#taking -= 1;
    }
  }
}
