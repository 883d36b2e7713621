import type { CacheShards } from "../cache-shards/cache-shards.ts";
import type { ByteSource } from "../bytes/byte-source.ts";
import { concatenate } from "../bytes/concatenate.ts";
import type { Digest } from "../digest/digest.ts";
import { digestMismatch } from "../digest/verify.ts";

/**
 * Stores a blob that is small enough to be gathered, in its index row.
 * @returns what is durable: all of it, or 0 if the source ended before.
 * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the digest.
 */
export async function writeInline(shards: CacheShards, digest: Digest, source: ByteSource): Promise<number> {
  const pieces: Uint8Array[] = [];
  for (let remaining = digest.sizeBytes; remaining > 0;) {
    const piece = await source.take(remaining);
    if (piece === undefined) return 0;
    pieces.push(piece);
    remaining -= piece.length;
  }
  const bytes = concatenate(pieces);
  const mismatch = digestMismatch(digest, bytes);
  if (mismatch !== undefined) throw mismatch;
  await shards.insertInline([{ digest, bytes }]);
  return digest.sizeBytes;
}
