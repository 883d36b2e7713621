import { z } from "zod";
import { beginChange, newLayout, nextPhase } from "../../src/cache-shards/layout.ts";
import type { Layout, ShardIdentity } from "./rpc.ts";

/** What an object knows of itself and of its store. */
export interface RecordedIdentity {
  readonly store: string;
  readonly index: number;
  readonly layout: Layout;
  /** The epoch of the last layout in which this shard has moved all that belongs elsewhere. */
  readonly movedEpoch: number;
  /** In shard 0: the epoch of the last layout that every shard has heard of. */
  readonly announcedEpoch: number;
}

const rowSchema = z.object({
  store: z.string(),
  shard_index: z.number(),
  shard_count: z.number(),
  epoch: z.number(),
  phase: z.enum(["stable", "preparing", "moving"]),
  from_count: z.number().nullable(),
  moved_epoch: z.number(),
  announced_epoch: z.number(),
});

/** Which shard of which store an object is, and the store's layout, as recorded by the calls that it got. */
export class Identity {
  readonly #sql: SqlStorage;
  #recorded: RecordedIdentity | undefined;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    for (const found of sql.exec("SELECT * FROM shard")) {
      const row = rowSchema.parse(found);
      this.#recorded = {
        store: row.store,
        index: row.shard_index,
        layout: {
          epoch: row.epoch,
          phase: row.phase,
          count: row.shard_count,
          from: row.from_count ?? row.shard_count,
        },
        movedEpoch: row.moved_epoch,
        announcedEpoch: row.announced_epoch,
      };
    }
  }

  /** Undefined if nobody has ever called the object. */
  get recorded(): RecordedIdentity | undefined {
    return this.#recorded;
  }

  /**
   * Whether a caller goes by the recorded layout; one that knows a later one is believed. If not, what is to be answered.
   * @throws Error if the object is another shard than the caller means: it was reached by a wrong name.
   */
  admit(identity: ShardIdentity): { readonly recordedCount: number; readonly layout?: Layout } | undefined {
    const { asksForLayout, count, index, layout, store } = identity;
    if (this.#recorded === undefined) {
      // By the configuration alone a store is made by its first shard only: another might be asked by a wrong number.
      if (asksForLayout && layout === undefined && index !== 0) return { recordedCount: 0 };
      const epochs = { movedEpoch: 0, announcedEpoch: layout?.epoch ?? 1 };
      this.#record({ store, index, layout: layout ?? newLayout(count), ...epochs });
      return undefined;
    }
    const recorded = this.#recorded;
    if (recorded.store !== store || recorded.index !== index) {
      throw new Error(
        `shard ${recorded.index} of store ${recorded.store} was called as shard ${index} of store ${store}`,
      );
    }
    const present = recorded.layout;
    if (layout === undefined) {
      if (present.phase === "stable" && present.count === count) return undefined;
    } else if (layout.epoch >= present.epoch) {
      if (layout.epoch > present.epoch) this.#record({ ...recorded, layout });
      return undefined;
    }
    return { recordedCount: present.count, layout: present };
  }

  /** Begins a change to `count` shards, if none is under way. To be called in shard 0. */
  beginChange(count: number): Layout {
    const recorded = this.#known();
    const { layout } = recorded;
    if (layout.phase !== "stable" || layout.count === count) return layout;
    const next = beginChange(layout, count);
    this.#record({ ...recorded, layout: next });
    return next;
  }

  /** Goes on to the next phase of the change. To be called in shard 0, when all shards are ready for it. */
  advance(): void {
    const recorded = this.#known();
    this.#record({ ...recorded, layout: nextPhase(recorded.layout) });
  }

  /** All shards have heard of the present layout. */
  announced(): void {
    const recorded = this.#known();
    this.#record({ ...recorded, announcedEpoch: recorded.layout.epoch });
  }

  /** This shard has nothing left that belongs elsewhere. */
  moved(): void {
    const recorded = this.#known();
    this.#record({ ...recorded, movedEpoch: recorded.layout.epoch });
  }

  #known(): RecordedIdentity {
    if (this.#recorded === undefined) throw new Error("the shard has never been called");
    return this.#recorded;
  }

  #record(recorded: RecordedIdentity): void {
    const { announcedEpoch, index, layout, movedEpoch, store } = recorded;
    const values = [store, index, layout.count, layout.epoch, layout.phase, layout.from, movedEpoch, announcedEpoch];
    const columns = "store, shard_index, shard_count, epoch, phase, from_count, moved_epoch, announced_epoch";
    if (this.#recorded === undefined) {
      this.#sql.exec(`INSERT INTO shard (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, ...values);
    } else {
      this.#sql.exec(`UPDATE shard SET (${columns}) = (?, ?, ?, ?, ?, ?, ?, ?)`, ...values);
    }
    this.#recorded = recorded;
  }
}
