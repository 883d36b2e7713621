import type { CacheShards } from "../cache-shards/cache-shards.ts";
import type { Digest } from "../digest/digest.ts";
import { discard } from "./discard.ts";
import type { R2Objects } from "./r2-objects.ts";

/** Makes a verified object the blob that the index names, or deletes it if another upload was faster. */
export async function indexObject(
  shards: CacheShards,
  objects: R2Objects,
  digest: Digest,
  uploadId: string,
): Promise<void> {
  const won = await shards.insertObject(digest, uploadId);
  if (!won) await discard("object", () => objects.delete(digest, uploadId));
}
