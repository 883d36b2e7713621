import { mapBounded } from "../../src/batching/map-bounded.ts";
import { allShards } from "../../src/cache-shards/layout.ts";
import type { Chore } from "./chore.ts";
import type { Identity, RecordedIdentity } from "./identity.ts";
import type { Peers } from "./peers.ts";

const MAX_CALLS = 6;

/** How often the shards are asked whether they have moved everything. */
const ASK_INTERVAL_MS = 500;

/**
 * Shard 0 leads the store from one number of shards to another. Each layout is recorded here first, and the next one only
 * when every shard has heard of it and, for the last, has moved what belongs elsewhere. Killed at any line, it goes on from
 * what is recorded.
 */
export class ReshardCoordination implements Chore {
  readonly name = "reshard coordination";
  readonly #identity: Identity;
  readonly #peers: Peers;
  #notBeforeMs = 0;

  constructor(identity: Identity, peers: Peers) {
    this.#identity = identity;
    this.#peers = peers;
  }

  dueMs(): number {
    const { recorded } = this.#identity;
    if (recorded === undefined || recorded.index !== 0) return Infinity;
    const { announcedEpoch, layout } = recorded;
    return layout.phase === "stable" && announcedEpoch >= layout.epoch ? Infinity : this.#notBeforeMs;
  }

  async step(nowMs: number): Promise<void> {
    const { recorded } = this.#identity;
    if (recorded === undefined) return;
    const { layout } = recorded;
    const moved = await this.#announce(recorded);
    switch (layout.phase) {
      case "preparing":
        this.#identity.advance();
        break;
      case "moving":
        if (moved.slice(0, layout.from).every(Boolean)) this.#identity.advance();
        else this.#notBeforeMs = nowMs + ASK_INTERVAL_MS;
        break;
      case "stable":
        this.#identity.announced();
        break;
    }
  }

  /** Lets every shard know the layout. Returns whether each has moved everything. */
  #announce(recorded: RecordedIdentity): Promise<boolean[]> {
    return mapBounded(allShards(recorded.layout), MAX_CALLS, async (index) => {
      if (index === recorded.index) return recorded.movedEpoch === recorded.layout.epoch;
      return this.#peers.call(recorded, index, (stub, shard) => stub.hasMoved({ shard }));
    });
  }
}
