import type { CacheShard } from "../../durable-objects/cache-shard.ts";
import type { Layout, ShardIdentity, ShardReply } from "../../durable-objects/cache-shard/rpc.ts";
import { unavailableError } from "../errors/unavailable.ts";
import { callObject, type ObjectNamespace } from "../objects/call-object.ts";
import { knownLayout, learnLayout } from "./known-layouts.ts";
import { allShards, newLayout, shardsToRead, shardToWrite } from "./layout.ts";
import { shardName } from "./shard-map.ts";

type Stub = DurableObjectStub<CacheShard>;

/** A call of a method of a shard. */
type ShardCall<T> = (stub: Stub, shard: ShardIdentity) => Promise<ShardReply<T>>;

/** The epoch of a layout that only the configuration says; the shards' own begin with 1. */
const BY_CONFIGURATION = 0;

/** How often something is begun anew because the layout turned out to be another. */
const MAX_LAYOUTS = 5;

const RETRY_AFTER_MS = 1000;

/** A shard goes by another layout than its caller: what was begun is to be begun anew, which `byLayout` does. */
export class LayoutChangedError extends Error {
  override readonly name = "LayoutChangedError";
}

/**
 * Calls of a store's shards. How many shards there are, they know themselves (`Layout` in rpc.ts); the configuration says
 * it for a new store only. Whatever is done by a layout may be begun anew when a shard says that it is another.
 *
 * Every method throws ConnectError UNAVAILABLE if a shard can't be reached, or the layout changes too often.
 */
export class ShardCalls {
  readonly #namespace: ObjectNamespace<DurableObjectId, Stub>;
  readonly #store: string;
  readonly #newCount: number;

  /** @param newCount how many shards the store gets if it is new */
  constructor(namespace: ObjectNamespace<DurableObjectId, Stub>, store: string, newCount: number) {
    this.#namespace = namespace;
    this.#store = store;
    this.#newCount = newCount;
  }

  /** What the first shard says that has something under a hash, or undefined. */
  async read<T>(hash: string, call: ShardCall<T | null>): Promise<T | undefined> {
    return this.byLayout(async (layout) => {
      for (const index of shardsToRead(layout, hash)) {
        const found = await this.call(layout, index, call);
        if (found !== null) return found;
      }
      return undefined;
    });
  }

  /** What each shard says that may have something under a hash, one after the other, in the order of `shardsToRead`. */
  async everywhere<T>(hash: string, call: ShardCall<T>): Promise<T[]> {
    return this.byLayout(async (layout) => {
      const found: T[] = [];
      for (const index of shardsToRead(layout, hash)) found.push(await this.call(layout, index, call));
      return found;
    });
  }

  /** What the shard says in which something new goes that is under a hash. */
  async write<T>(hash: string, call: ShardCall<T>): Promise<T> {
    return this.byLayout((layout) => this.call(layout, shardToWrite(layout, hash), call));
  }

  /** What every shard says, in order. */
  async all<T>(call: ShardCall<T>): Promise<T[]> {
    return this.byLayout((layout) => Promise.all(allShards(layout).map((index) => this.call(layout, index, call))));
  }

  /** Does something by the layout that is known here, and anew if a shard says that it is another. */
  async byLayout<T>(act: (layout: Layout) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const layout = knownLayout(this.#store) ?? { ...newLayout(this.#newCount), epoch: BY_CONFIGURATION };
      try {
        return await act(layout);
      } catch (error) {
        if (!(error instanceof LayoutChangedError)) throw error;
        if (attempt < MAX_LAYOUTS) continue;
        throw unavailableError(
          `the shards of store ${this.#store} are being changed; try again`,
          RETRY_AFTER_MS,
          error,
        );
      }
    }
  }

  /** What one shard says. To be called within `byLayout`, by whose layout it is. @throws LayoutChangedError */
  async call<T>(layout: Layout, index: number, call: ShardCall<T>): Promise<T> {
    const identity = {
      store: this.#store,
      count: layout.count,
      asksForLayout: true as const,
      ...(layout.epoch !== BY_CONFIGURATION && { layout }),
    };
    const reply = await callObject(this.#namespace, shardName(this.#store, index), (stub) =>
      call(stub, { ...identity, index }),
    );
    if (reply.ok) return reply.value;
    learnLayout(this.#store, reply.layout ?? (await this.#askFirstShard(layout, reply.recordedCount)));
    throw new LayoutChangedError(`shard ${index} of store ${this.#store} goes by another layout`);
  }

  /** The layout, where the shard that was asked could not tell it. */
  async #askFirstShard({ count }: Layout, recordedCount: number): Promise<Layout> {
    // Of a version that knows of no changes: its layout is that of a new store of as many shards.
    if (recordedCount !== 0) return newLayout(recordedCount);
    const identity = { store: this.#store, index: 0, count };
    const ask: ShardCall<Layout> = (stub, shard) => stub.layout({ shard });
    const reply = await callObject(this.#namespace, shardName(this.#store, 0), (stub) => ask(stub, identity));
    return reply.ok ? reply.value : (reply.layout ?? newLayout(reply.recordedCount));
  }
}
