import type { ByteSource } from "../bytes/byte-source.ts";
import { SourceEndedError, streamFixedLength } from "../bytes/fixed-length.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import type { Digest } from "../digest/digest.ts";
import { hashMismatch, startHash } from "../digest/verify.ts";
import { discard } from "./discard.ts";
import { indexObject } from "./index-object.ts";
import type { R2Objects } from "./r2-objects.ts";

/** Larger blobs are uploaded in parts, so that an upload that breaks off can be taken up again. */
export const SINGLE_PUT_MAX_BYTES = 8 << 20;

/** Blobs that go to R2 in one put. R2 verifies them, or they are hashed on their way where it doesn't know the function. */
export class SingleObjects {
  readonly #shards: CacheShards;
  readonly #objects: R2Objects;

  constructor(shards: CacheShards, objects: R2Objects) {
    this.#shards = shards;
    this.#objects = objects;
  }

  /** Stores a blob that the caller has verified. */
  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    const uploadId = crypto.randomUUID();
    await this.#objects.put(digest, uploadId, bytes);
    await indexObject(this.#shards, digest, uploadId);
  }

  /**
   * Stores a blob as its bytes come, without holding it.
   * @returns what is durable: all of the blob, or 0 if the source ended before.
   * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the digest.
   */
  async write(digest: Digest, source: ByteSource): Promise<number> {
    const uploadId = crypto.randomUUID();
    const hash = this.#objects.verifies(digest) ? undefined : startHash(digest.digestFunction);
    const { sent, stored } = streamFixedLength(
      source,
      digest.sizeBytes,
      (stream) => this.#objects.put(digest, uploadId, stream),
      (bytes) => hash?.update(bytes),
    );
    try {
      await sent;
    } catch (error) {
      if (error instanceof SourceEndedError) return 0;
      throw error;
    }
    await stored;
    const sentHash = hash?.digest("hex") ?? digest.hash;
    if (sentHash !== digest.hash) {
      await discard("an object with a wrong hash", () => this.#objects.delete(digest, uploadId));
      throw hashMismatch(digest, sentHash);
    }
    await indexObject(this.#shards, digest, uploadId);
    return digest.sizeBytes;
  }
}
