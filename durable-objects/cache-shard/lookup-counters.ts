import { z } from "zod";

/** How action results were asked for, of one instance or of one build there. */
export interface LookupCounts {
  readonly found: number;
  readonly missing: number;
}

/** How many builds are counted apart, of all instances together: those that asked last. They are saved in one row. */
const MAX_INVOCATIONS = 200;

/** A build whose id is longer is not counted apart. */
const MAX_INVOCATION_ID_LENGTH = 128;

const countsSchema = z.object({ found: z.number(), missing: z.number() });

const savedSchema = z.record(
  z.string(),
  countsSchema.extend({ invocations: z.record(z.string(), countsSchema).optional() }),
);

type GrowingCounts = { -readonly [K in keyof LookupCounts]: number };

/** Counts, for each instance, the look-ups of action results that found one and those that didn't. */
export class LookupCounters {
  readonly #counts = new Map<string, GrowingCounts>();
  /** By instance and build; the one that asked last is the last. */
  readonly #invocations = new Map<string, { instance: string; invocationId: string; counts: GrowingCounts }>();

  /** @param saved an earlier `snapshot`, or anything: what isn't one is as none */
  constructor(saved: unknown) {
    for (const [instance, { found, invocations, missing }] of Object.entries(savedSchema.safeParse(saved).data ?? {})) {
      this.#counts.set(instance, { found, missing });
      for (const [invocationId, counts] of Object.entries(invocations ?? {})) {
        this.#invocations.set(key(instance, invocationId), { instance, invocationId, counts });
      }
    }
  }

  count(instance: string, found: boolean, invocationId = ""): void {
    const counts = this.#counts.get(instance) ?? none();
    this.#counts.set(instance, counts);
    counts[found ? "found" : "missing"] += 1;
    if (invocationId !== "" && invocationId.length <= MAX_INVOCATION_ID_LENGTH) {
      this.#countOfInvocation(instance, found, invocationId);
    }
  }

  of(instance: string, invocationId?: string): LookupCounts {
    if (invocationId === undefined) return this.#counts.get(instance) ?? none();
    return this.#invocations.get(key(instance, invocationId))?.counts ?? none();
  }

  snapshot(): z.infer<typeof savedSchema> {
    const snapshot: z.infer<typeof savedSchema> = {};
    for (const [instance, counts] of this.#counts) snapshot[instance] = { ...counts, invocations: {} };
    for (const { counts, instance, invocationId } of this.#invocations.values()) {
      const { invocations } = snapshot[instance] ?? {};
      if (invocations !== undefined) invocations[invocationId] = counts;
    }
    return snapshot;
  }

  #countOfInvocation(instance: string, found: boolean, invocationId: string): void {
    const name = key(instance, invocationId);
    const { counts } = this.#invocations.get(name) ?? { counts: none() };
    counts[found ? "found" : "missing"] += 1;
    this.#invocations.delete(name);
    this.#invocations.set(name, { instance, invocationId, counts });
    const [oldest] = this.#invocations.keys();
    if (this.#invocations.size > MAX_INVOCATIONS && oldest !== undefined) this.#invocations.delete(oldest);
  }
}

function none(): GrowingCounts {
  return { found: 0, missing: 0 };
}

function key(instance: string, invocationId: string): string {
  return JSON.stringify([instance, invocationId]);
}
