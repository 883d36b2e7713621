import type { CacheShards } from "../cache-shards/cache-shards.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import { unavailableError } from "../errors/unavailable.ts";
import type { BlobUpload } from "./blob-store.ts";

const RETRY_AFTER_MS = 1000;

/**
 * Makes a verified object the blob that the index names, unless another upload was faster.
 * @param upload the one by which the object came, if it came in parts
 * @throws ConnectError UNAVAILABLE if the upload was given up in the meantime: the blob is not stored.
 */
export async function indexObject(
  shards: CacheShards,
  digest: Digest,
  uploadId: string,
  upload?: BlobUpload,
): Promise<void> {
  if ((await shards.blobs.insertObject(digest, uploadId, upload)) !== "given-up") return;
  throw unavailableError(
    `the upload of blob ${digestKey(digest)} took too long and was given up; start it again`,
    RETRY_AFTER_MS,
  );
}
