import { z } from "zod";

/** What a shard has done by itself: counters in the sense of Prometheus. */
const countsSchema = z.object({
  evictedBlobs: z.number(),
  evictedBytes: z.number(),
  evictedActionResults: z.number(),
  spilledBlobs: z.number(),
  spilledBytes: z.number(),
  abandonedUploads: z.number(),
  deletedObjects: z.number(),
});

export type UpkeepCounts = z.infer<typeof countsSchema>;

const NONE: UpkeepCounts = {
  evictedBlobs: 0,
  evictedBytes: 0,
  evictedActionResults: 0,
  spilledBlobs: 0,
  spilledBytes: 0,
  abandonedUploads: 0,
  deletedObjects: 0,
};

export class UpkeepCounters {
  readonly #onCounted: () => void;
  #counts: UpkeepCounts;

  /** @param saved an earlier `snapshot`, or anything: what isn't one is as none */
  constructor(saved: unknown, onCounted: () => void) {
    this.#counts = countsSchema.safeParse(saved).data ?? NONE;
    this.#onCounted = onCounted;
  }

  add(counts: Partial<UpkeepCounts>): void {
    const sum = { ...this.#counts };
    for (const name of countsSchema.keyof().options) sum[name] += counts[name] ?? 0;
    this.#counts = sum;
    this.#onCounted();
  }

  snapshot(): UpkeepCounts {
    return this.#counts;
  }
}

/** What a shard has saved of its counters. Earlier versions saved those of look-ups alone. */
export function parseSavedCounters(saved: unknown): { readonly lookups: unknown; readonly upkeep: unknown } {
  const parsed = z.object({ lookups: z.unknown(), upkeep: countsSchema }).safeParse(saved);
  return parsed.success ? parsed.data : { lookups: saved, upkeep: undefined };
}
