import type { StoreConfig } from "../config/schema.ts";
import type { Env } from "../env.ts";
import { CacheShards } from "./cache-shards.ts";

/** The index of a store, which holds its blobs' whereabouts and the action results of all of its instances. */
export function openCacheShards(env: Env, store: string, config: StoreConfig): CacheShards {
  return new CacheShards(env.CACHE_SHARD, {
    store,
    shards: config.shards,
    touchIntervalMs: config.touch_interval_s * 1000,
  });
}
