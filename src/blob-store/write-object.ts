import type { CacheShards } from "../cache-shards/cache-shards.ts";
import type { ByteSource } from "../bytes/byte-source.ts";
import { SourceEndedError, streamFixedLength } from "../bytes/fixed-length.ts";
import type { Digest } from "../digest/digest.ts";
import { discard } from "./discard.ts";
import type { R2Objects } from "./r2-objects.ts";

/** Larger blobs are uploaded in parts, so that an upload that breaks off can be taken up again. */
export const SINGLE_PUT_MAX_BYTES = 8 << 20;

/**
 * Stores a blob as one R2 object, verified by R2, and indexes it.
 * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the digest.
 */
export async function putObject(
  shards: CacheShards,
  objects: R2Objects,
  digest: Digest,
  body: Uint8Array | ReadableStream<Uint8Array>,
): Promise<void> {
  const uploadId = crypto.randomUUID();
  await objects.put(digest, uploadId, body);
  await indexObject(shards, objects, digest, uploadId);
}

/** Makes a verified object the blob that the index names, or deletes it if another was faster. */
export async function indexObject(
  shards: CacheShards,
  objects: R2Objects,
  digest: Digest,
  uploadId: string,
): Promise<void> {
  const won = await shards.insertObject(digest, uploadId);
  if (!won) await discard("object", () => objects.delete(digest, uploadId));
}

/**
 * Stores a blob of up to SINGLE_PUT_MAX_BYTES as one R2 object without holding it.
 * @returns what is durable: all of it, or 0 if the source ended before.
 * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the digest.
 */
export async function writeObject(
  shards: CacheShards,
  objects: R2Objects,
  digest: Digest,
  source: ByteSource,
): Promise<number> {
  const uploadId = crypto.randomUUID();
  try {
    const { sent, stored } = streamFixedLength(source, digest.sizeBytes, (stream) =>
      objects.put(digest, uploadId, stream),
    );
    await sent;
    await stored;
  } catch (error) {
    if (error instanceof SourceEndedError) return 0;
    throw error;
  }
  await indexObject(shards, objects, digest, uploadId);
  return digest.sizeBytes;
}
