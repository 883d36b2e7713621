import type { Layout, ObjectRow, ShardStanding } from "../../durable-objects/cache-shard/rpc.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import type { Digest } from "../digest/digest.ts";
import { byShard } from "./by-shard.ts";
import { toDigestKey } from "./digest-keys.ts";
import { shardToWrite } from "./layout.ts";
import type { ShardCalls } from "./shard-calls.ts";

/** What operators want of a store's shards: how they stand, how many they are, and whether they agree with R2. */
export class ShardUpkeep {
  readonly #calls: ShardCalls;

  constructor(calls: ShardCalls) {
    this.#calls = calls;
  }

  /** How each shard stands. */
  async standings(): Promise<ShardStanding[]> {
    return this.#calls.all((stub, shard) => stub.standing({ shard }));
  }

  /** Lets each shard count anew what it holds. */
  async recount(): Promise<void> {
    await this.#calls.all((stub, shard) => stub.recount({ shard }));
  }

  /** The store's present layout. */
  async layout(): Promise<Layout> {
    return this.#calls.byLayout((layout) => this.#calls.call(layout, 0, (stub, shard) => stub.layout({ shard })));
  }

  /**
   * Begins a change to `count` shards; the shards see to the rest by themselves. Does nothing if the store has that many, or
   * the change is under way.
   * @returns the layout now; `count` is another if another change is under way
   */
  async reshard(count: number): Promise<Layout> {
    return this.#calls.byLayout((layout) =>
      this.#calls.call(layout, 0, (stub, shard) => stub.reshard({ shard, count })),
    );
  }

  /**
   * What the index says of the R2 objects of one digest function whose hashes come after one, in order.
   * @param limit how many each shard tells; `upToHash` is undefined if that is all
   */
  async objectRows(
    digestFunction: DigestFunction,
    afterHash: string,
    limit: number,
  ): Promise<{ readonly rows: readonly ObjectRow[]; readonly upToHash: string | undefined }> {
    const request = { digestFunction: digestFunction.value, afterHash, limit };
    const pages = await this.#calls.all((stub, shard) => stub.objectRows({ shard, ...request }));
    const ends = pages.flatMap((page) => (page.length < limit ? [] : (page.at(-1)?.hash ?? [])));
    const upToHash = ends.sort().at(0);
    const rows = pages.flat().filter(({ hash }) => upToHash === undefined || hash <= upToHash);
    return { rows: rows.sort((a, b) => (a.hash < b.hash ? -1 : 1)), upToHash };
  }

  /** Those of the objects to which nothing refers; they are put on the list of deletions, if it is no dry run. */
  async condemnObjects<T extends { readonly digest: Digest; readonly uploadId: string }>(
    objects: readonly T[],
    dryRun: boolean,
  ): Promise<T[]> {
    return this.#calls.byLayout(async (layout) => {
      const condemned = await Promise.all(
        byShard(objects, ({ digest }) => shardToWrite(layout, digest.hash)).map(async ([index, members]) => {
          const keys = members.map(({ item }) => ({ digest: toDigestKey(item.digest), uploadId: item.uploadId }));
          const positions = await this.#calls.call(layout, index, (stub, shard) =>
            stub.condemnObjects({ shard, objects: keys, dryRun }),
          );
          return members.flatMap(({ item }, position) => (positions.includes(position) ? [item] : []));
        }),
      );
      return condemned.flat();
    });
  }
}
