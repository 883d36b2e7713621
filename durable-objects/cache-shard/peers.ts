import type { CacheShard } from "../cache-shard.ts";
import type { RecordedIdentity } from "./identity.ts";
import type { ShardIdentity, ShardReply } from "./rpc.ts";

/** A call of a method of another shard of the store. */
export type PeerCall<T> = (stub: DurableObjectStub<CacheShard>, shard: ShardIdentity) => Promise<ShardReply<T>>;

/** The other shards of a store, which go by the same layout. */
export interface Peers {
  /** @throws Error if the shard can't be reached, or goes by a later layout. */
  call<T>(recorded: RecordedIdentity, index: number, call: PeerCall<T>): Promise<T>;
}
