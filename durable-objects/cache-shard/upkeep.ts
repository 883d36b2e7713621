import { log } from "../../src/log.ts";
import type { Chore } from "./chore.ts";

/** How long a chore rests after a step that failed; twice as long after each more, up to the other. */
const FIRST_REST_MS = 1000;
const LONGEST_REST_MS = 10 * 60_000;

/** Sees to it that each chore is done when it is due, and that none can keep the others from it. */
export class Upkeep {
  readonly #chores: readonly Chore[];
  readonly #rests = new Map<Chore, { readonly untilMs: number; readonly lengthMs: number }>();

  constructor(chores: readonly Chore[]) {
    this.#chores = chores;
  }

  /** When there will be something to do, as `Chore.dueMs`. */
  dueMs(): number {
    return Math.min(...this.#chores.map((chore) => this.#dueMs(chore)));
  }

  /** One step of each chore that is due. Never throws. */
  async run(nowMs: number): Promise<void> {
    for (const chore of this.#chores) {
      try {
        if (this.#dueMs(chore) > nowMs) continue;
        await chore.step(nowMs);
        this.#rests.delete(chore);
      } catch (error) {
        const lengthMs = Math.min((this.#rests.get(chore)?.lengthMs ?? FIRST_REST_MS / 2) * 2, LONGEST_REST_MS);
        this.#rests.set(chore, { untilMs: nowMs + lengthMs, lengthMs });
        log.error({ chore: chore.name, restMs: lengthMs, error }, "a step of a shard's upkeep failed");
      }
    }
  }

  #dueMs(chore: Chore): number {
    return Math.max(chore.dueMs(), this.#rests.get(chore)?.untilMs ?? 0);
  }
}
