import { openCacheShards } from "../cache-shards/cache-shards.ts";
import type { ConfiguredInstance } from "../config/config.ts";
import type { Env } from "../env.ts";
import type { BlobStore } from "./blob-store.ts";
import { ColoCachedReads } from "./colo-cache.ts";
import { EmptyBlobStore } from "./empty-blob.ts";
import { IndexedBlobStore } from "./indexed-blob-store.ts";
import { R2Objects } from "./r2-objects.ts";
import { SizeLimitedBlobStore } from "./size-limits.ts";

/** The blob store of an instance, as its entry in `stores` asks for. A request goes through it from the outside in. */
export function openBlobStore(env: Env, { storeName, store }: ConfiguredInstance): BlobStore {
  const objects = new R2Objects(env.CAS, storeName);
  const reads = store.colo_cache ? new ColoCachedReads(objects, storeName) : objects;
  const shards = openCacheShards(env, storeName, store);
  const indexed = new IndexedBlobStore(shards, objects, reads, store.inline_max_bytes);
  return new EmptyBlobStore(new SizeLimitedBlobStore(indexed, store.max_blob_bytes));
}
