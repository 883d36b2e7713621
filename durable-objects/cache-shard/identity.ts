import type { ShardIdentity } from "./rpc.ts";

/** Which shard of which store an object is, as recorded by the first call that it ever got. */
export class Identity {
  readonly #sql: SqlStorage;
  #recorded: ShardIdentity | undefined;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    const query = 'SELECT store, shard_index AS "index", shard_count AS count FROM shard';
    [this.#recorded] = sql.exec<{ store: string; index: number; count: number }>(query).toArray();
  }

  /** Undefined if nobody has ever called the object. */
  get recorded(): ShardIdentity | undefined {
    return this.#recorded;
  }

  /**
   * How many shards the store was made with; `identity` is recorded where nothing is yet.
   * @throws Error if the object is another shard than the caller means: it was reached by a wrong name.
   */
  shardCount(identity: ShardIdentity): number {
    const { store, index, count } = identity;
    if (this.#recorded === undefined) {
      this.#sql.exec("INSERT INTO shard (store, shard_index, shard_count) VALUES (?, ?, ?)", store, index, count);
      this.#recorded = identity;
    }
    const recorded = this.#recorded;
    if (recorded.store !== store || recorded.index !== index) {
      throw new Error(
        `shard ${recorded.index} of store ${recorded.store} was called as shard ${index} of store ${store}`,
      );
    }
    return recorded.count;
  }
}
