import type { ByteSource } from "../bytes/byte-source.ts";
import { concatenate } from "../bytes/concatenate.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import type { Digest } from "../digest/digest.ts";
import { digestMismatch } from "../digest/verify.ts";

/** Blobs small enough to be gathered in memory, and kept in their index rows. */
export class InlineRows {
  readonly #shards: CacheShards;

  constructor(shards: CacheShards) {
    this.#shards = shards;
  }

  /**
   * @returns what is durable: all of the blob, or 0 if the source ended before.
   * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the digest.
   */
  async write(digest: Digest, source: ByteSource): Promise<number> {
    const pieces: Uint8Array[] = [];
    for (let remaining = digest.sizeBytes; remaining > 0;) {
      const piece = await source.take(remaining);
      if (piece === undefined) return 0;
      pieces.push(piece);
      remaining -= piece.length;
    }
    const bytes = concatenate(pieces);
    const error = digestMismatch(digest, bytes) ?? (await this.writeBatch([{ digest, bytes }]))[0];
    if (error !== undefined) throw error;
    return digest.sizeBytes;
  }

  /** Stores blobs that the caller has verified. A verdict for each: undefined, or why it could not be stored. */
  writeBatch(blobs: readonly { digest: Digest; bytes: Uint8Array }[]): Promise<(Error | undefined)[]> {
    return this.#shards.blobs.insertInline(blobs);
  }
}
