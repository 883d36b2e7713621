import type { StoreConfig } from "../../src/config/schema.ts";

/** An object has 10 GB of SQLite (a platform limit), for the index and action results, too. */
const MOST_INLINE_BYTES = 8 * 2 ** 30;

/** What the configuration says of a store, as it concerns one of its shards. */
export interface ShardPolicy {
  /** What the shard may hold of blobs and action results, wherever they are. */
  readonly maxBytes: number;
  /** How much of that may be in rows. */
  readonly maxInlineBytes: number;
  /** What was last used less long ago is never evicted. Recorded uses may be older than real ones by `touchIntervalMs`. */
  readonly minAgeMs: number;
  readonly touchIntervalMs: number;
  readonly abandonedUploadMs: number;
}

/** The share of one of `shards` shards: hashes are spread evenly. */
export function policyOf(config: StoreConfig, shards: number): ShardPolicy {
  return {
    maxBytes: Math.floor(config.max_bytes / shards),
    maxInlineBytes: Math.min(Math.floor(config.inline_total_bytes / shards), MOST_INLINE_BYTES),
    minAgeMs: config.min_age_s * 1000,
    touchIntervalMs: config.touch_interval_s * 1000,
    abandonedUploadMs: config.abandoned_upload_s * 1000,
  };
}
