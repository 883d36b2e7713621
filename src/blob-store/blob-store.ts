import type { Digest } from "../digest/digest.ts";

/** A range of a blob. `offsetBytes` ≤ the blob's size; `limitBytes` undefined means to the end. */
export interface BlobRange {
  readonly offsetBytes: number;
  readonly limitBytes?: number | undefined;
}

/**
 * Content-addressed bytes. Every method may throw ConnectError UNAVAILABLE when the storage behind it is overloaded or
 * restarting. An implementation never stores bytes that don't have the digest that they are stored under.
 */
export interface BlobStore {
  /** Those of `digests` that are not stored, in order. Counts as a use of the others. */
  findMissing(digests: readonly Digest[]): Promise<Digest[]>;

  /** The bytes of each blob, or undefined where it is not stored, in the order of `digests`. The caller bounds the sum. */
  readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]>;

  /** The blob's bytes as they come, or undefined if it is not stored. */
  read(digest: Digest, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined>;

  /**
   * Stores small blobs, one verdict each, in order: undefined when durable, else the error to report for that blob
   * (INVALID_ARGUMENT where the bytes don't have the digest). The caller bounds the sum.
   */
  writeBatch(blobs: readonly { digest: Digest; bytes: Uint8Array }[]): Promise<(Error | undefined)[]>;
}
