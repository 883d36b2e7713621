import { digestAt, type DigestColumns } from "../digest/digest-columns.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import { parseDigest, type Digest } from "../digest/digest.ts";
import { digestMismatch } from "../digest/verify.ts";
import type { BlobRange, BlobStore, BlobUpload } from "./blob-store.ts";

const EMPTY = new Uint8Array(0);

/**
 * The empty blob is always there and takes no storage: clients never upload it (bazel#11063). A digest of size 0 with
 * another hash is no blob at all.
 */
export class EmptyBlobStore implements BlobStore {
  readonly #next: BlobStore;

  constructor(next: BlobStore) {
    this.#next = next;
  }

  findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    const others = digests.filter((digest) => !isEmptyBlob(digest));
    return others.length === 0 ? Promise.resolve([]) : this.#next.findMissing(others);
  }

  async findMissingColumns(digests: DigestColumns): Promise<Uint8Array> {
    const missing = await this.#next.findMissingColumns(digests);
    for (let position = 0; position < digests.count; position++) {
      const mayBeEmpty = missing[position] === 1 && digests.sizes[position] === 0;
      if (mayBeEmpty && isEmptyBlob(digestAt(digests, position))) missing[position] = 0;
    }
    return missing;
  }

  findByHash(digestFunction: DigestFunction, hash: string): Promise<Digest | undefined> {
    const empty = parseDigest(digestFunction, hash, 0);
    return isEmptyBlob(empty) ? Promise.resolve(empty) : this.#next.findByHash(digestFunction, hash);
  }

  async readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]> {
    const others = digests.filter((digest) => !isEmptyBlob(digest));
    const read = (others.length === 0 ? [] : await this.#next.readBatch(others)).values();
    return digests.map((digest) => (isEmptyBlob(digest) ? EMPTY : read.next().value));
  }

  read(digest: Digest, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    return isEmptyBlob(digest)
      ? Promise.resolve(new Response(EMPTY).body ?? undefined)
      : this.#next.read(digest, range);
  }

  async writeBatch(blobs: readonly { digest: Digest; bytes: Uint8Array }[]): Promise<(Error | undefined)[]> {
    const others = blobs.filter(({ digest }) => digest.sizeBytes > 0);
    const verdicts = (others.length === 0 ? [] : await this.#next.writeBatch(others)).values();
    return blobs.map(({ digest, bytes }) =>
      digest.sizeBytes > 0 ? verdicts.next().value : digestMismatch(digest, bytes),
    );
  }

  write(upload: BlobUpload, offsetBytes: number, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    if (upload.digest.sizeBytes > 0) return this.#next.write(upload, offsetBytes, chunks);
    const mismatch = digestMismatch(upload.digest, EMPTY);
    return mismatch === undefined ? Promise.resolve(0) : Promise.reject(mismatch);
  }

  committedBytes(upload: BlobUpload): Promise<number> {
    return upload.digest.sizeBytes > 0 ? this.#next.committedBytes(upload) : Promise.resolve(0);
  }
}

function isEmptyBlob(digest: Digest): boolean {
  return digest.sizeBytes === 0 && digestMismatch(digest, EMPTY) === undefined;
}
