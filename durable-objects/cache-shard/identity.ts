import type { ShardIdentity } from "./rpc.ts";

/** The name of the store that the object is a shard of, or undefined if nobody has ever called it. */
export function recordedStore(sql: SqlStorage): string | undefined {
  return sql.exec<{ store: string }>("SELECT store FROM shard").toArray()[0]?.store;
}

/**
 * How many shards the store was made with, as recorded by the first call that the object ever got; `identity` is that
 * record where there is none yet.
 *
 * @throws Error if the object is another shard than the caller means: it was reached by a wrong name.
 */
export function recordedShardCount(sql: SqlStorage, identity: ShardIdentity): number {
  const [recorded] = sql
    .exec<{ store: string; shard_index: number; shard_count: number }>("SELECT * FROM shard")
    .toArray();
  if (recorded === undefined) {
    const { store, index, count } = identity;
    sql.exec("INSERT INTO shard (store, shard_index, shard_count) VALUES (?, ?, ?)", store, index, count);
    return count;
  }
  if (recorded.store !== identity.store || recorded.shard_index !== identity.index) {
    throw new Error(
      `shard ${recorded.shard_index} of store ${recorded.store} was called ` +
        `as shard ${identity.index} of store ${identity.store}`,
    );
  }
  return recorded.shard_count;
}
