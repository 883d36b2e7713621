import type { StoreConfig } from "../config/schema.ts";
import type { Env } from "../env.ts";
import { placedObjects } from "../objects/placed-objects.ts";
import { CacheShards } from "./cache-shards.ts";

/** The index of a store, which holds its blobs' whereabouts and the action results of all of its instances. */
export function openCacheShards(env: Env, store: string, config: StoreConfig): CacheShards {
  return new CacheShards(placedObjects(env, env.CACHE_SHARD, config), {
    store,
    shards: config.shards,
    touchIntervalMs: config.touch_interval_s * 1000,
  });
}
