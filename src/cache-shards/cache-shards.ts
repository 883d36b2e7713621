import type { StoreConfig } from "../config/schema.ts";
import type { Env } from "../env.ts";
import { placedObjects } from "../objects/placed-objects.ts";
import { ActionResultIndex } from "./action-result-index.ts";
import { BlobIndex } from "./blob-index.ts";
import { ShardCalls } from "./shard-calls.ts";
import { ShardUpkeep } from "./shard-upkeep.ts";
import { UploadSessions } from "./upload-sessions.ts";

/**
 * A store's index: its CacheShard objects as one. Every method of its parts makes at most one call to each object, all at
 * once, or two one after another while the number of shards changes; `blobs.lookUp` makes one for every 10,000 digests. It
 * throws ConnectError UNAVAILABLE if one can't be reached.
 */
export interface CacheShards {
  readonly blobs: BlobIndex;
  readonly actionResults: ActionResultIndex;
  readonly uploads: UploadSessions;
  readonly upkeep: ShardUpkeep;
}

export function openCacheShards(env: Env, store: string, config: StoreConfig): CacheShards {
  const calls = new ShardCalls(placedObjects(env, env.CACHE_SHARD, config), store, config.shards);
  const touchIntervalMs = config.touch_interval_s * 1000;
  return {
    blobs: new BlobIndex(calls, touchIntervalMs),
    actionResults: new ActionResultIndex(calls, touchIntervalMs),
    uploads: new UploadSessions(calls),
    upkeep: new ShardUpkeep(calls),
  };
}
