import { z } from "zod";

/** How action results were asked for, of one instance. */
export interface LookupCounts {
  readonly found: number;
  readonly missing: number;
}

const savedSchema = z.record(z.string(), z.object({ found: z.number(), missing: z.number() }));

/** Counts, for each instance, the look-ups of action results that found one and those that didn't. */
export class LookupCounters {
  readonly #counts: Map<string, { found: number; missing: number }>;

  /** @param saved an earlier `snapshot`, or anything: what isn't one is as none */
  constructor(saved: unknown) {
    this.#counts = new Map(Object.entries(savedSchema.safeParse(saved).data ?? {}));
  }

  count(instance: string, found: boolean): void {
    const counts = this.#counts.get(instance) ?? { found: 0, missing: 0 };
    if (found) counts.found += 1;
    else counts.missing += 1;
    this.#counts.set(instance, counts);
  }

  of(instance: string): LookupCounts {
    return this.#counts.get(instance) ?? { found: 0, missing: 0 };
  }

  snapshot(): Record<string, LookupCounts> {
    return Object.fromEntries(this.#counts);
  }
}
