import type { DigestFunction } from "../digest/digest-function.ts";
import type { DigestColumns } from "../digest/digest-columns.ts";
import type { Digest } from "../digest/digest.ts";

/** A range of a blob. `offsetBytes` ≤ the blob's size; `limitBytes` undefined means to the end. */
export interface BlobRange {
  readonly offsetBytes: number;
  readonly limitBytes?: number | undefined;
}

/** A client's attempt to store a blob, which a later attempt may take up where it broke off. */
export interface BlobUpload {
  readonly instance: string;
  /** Chosen by the client, the same for each attempt. */
  readonly clientUploadId: string;
  readonly digest: Digest;
}

/**
 * Content-addressed bytes. Every method may throw ConnectError UNAVAILABLE when the storage behind it is overloaded or
 * restarting. An implementation never stores bytes that don't have the digest that they are stored under.
 */
export interface BlobStore {
  /** Those of `digests` that are not stored: the very objects, in order. Counts as a use of the others. */
  findMissing(digests: readonly Digest[]): Promise<Digest[]>;

  /** The same of so many that no object is made of any: a 1 for each that is not stored, in order, and a 0 for the others. */
  findMissingColumns(digests: DigestColumns): Promise<Uint8Array>;

  /** The stored blob with this hash, for callers that don't know its size, or undefined. Counts as a use. */
  findByHash(digestFunction: DigestFunction, hash: string): Promise<Digest | undefined>;

  /** The bytes of each blob, or undefined where it is not stored, in the order of `digests`. The caller bounds the sum. */
  readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]>;

  /** The blob's bytes as they come, as a byte stream, or undefined if it is not stored. */
  read(digest: Digest, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined>;

  /**
   * Stores small blobs, one verdict each, in order: undefined when durable, else the error to report for that blob
   * (INVALID_ARGUMENT where the bytes don't have the digest). The caller bounds the sum.
   */
  writeBatch(blobs: readonly { digest: Digest; bytes: Uint8Array }[]): Promise<(Error | undefined)[]>;

  /**
   * Stores a blob of any size from its bytes as they come. `chunks` begin at `offsetBytes` of the blob: 0 for a new
   * attempt, `committedBytes` to take up the one before.
   *
   * @returns how much of the blob is durable: its size if it is stored now, less if `chunks` ended before. It may be
   * stored already; then `chunks` are not read to their end. If `chunks` throw, the parts that are durable remain so, and
   * the error is passed on.
   * @throws ConnectError INVALID_ARGUMENT if the chunks are more than the digest says or do not have the digest (then
   * what was uploaded is gone), or if the attempt can't be taken up at `offsetBytes`; ABORTED if another attempt under
   * the same id has taken over.
   */
  write(upload: BlobUpload, offsetBytes: number, chunks: AsyncIterable<Uint8Array>): Promise<number>;

  /** How much of an upload that has begun is durable; 0 if nothing is, or nothing is known of it. */
  committedBytes(upload: BlobUpload): Promise<number>;
}
