import type { R2Objects } from "../../src/blob-store/r2-objects.ts";
import type { Deletions } from "./deletions.ts";
import type { ShardPolicy } from "./policy.ts";
import type { Totals } from "./totals.ts";
import type { UpkeepCounters } from "./upkeep-counters.ts";

/** Something that a shard does by itself, when its alarm says so, in steps that are short. */
export interface Chore {
  /** For the log. */
  readonly name: string;

  /** When there will be something to do, in milliseconds since the epoch: 0 is now, Infinity is never. */
  dueMs(): number;

  /** Does a part of it. If it throws, the chore rests for a while. Being killed at any line loses nothing. */
  step(nowMs: number): Promise<void> | void;
}

/** What the chores of a shard work with. */
export interface ChoreContext {
  readonly storage: DurableObjectStorage;
  /** The store's part of R2. */
  readonly objects: () => R2Objects;
  /** What the configuration asks for; undefined while nothing may be given up, moved or evicted. */
  readonly policy: () => ShardPolicy | undefined;
  readonly totals: Totals;
  readonly deletions: Deletions;
  readonly counters: UpkeepCounters;
}
