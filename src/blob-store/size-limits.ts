import { Code, ConnectError } from "@connectrpc/connect";
import type { DigestColumns } from "../digest/digest-columns.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import type { BlobRange, BlobStore, BlobUpload } from "./blob-store.ts";

/** Refuses to store blobs of more than `maxBlobBytes` with RESOURCE_EXHAUSTED. */
export class SizeLimitedBlobStore implements BlobStore {
  readonly #next: BlobStore;
  readonly #maxBlobBytes: number;

  constructor(next: BlobStore, maxBlobBytes: number) {
    this.#next = next;
    this.#maxBlobBytes = maxBlobBytes;
  }

  findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    return this.#next.findMissing(digests);
  }

  findMissingColumns(digests: DigestColumns): Promise<Uint8Array> {
    return this.#next.findMissingColumns(digests);
  }

  findByHash(digestFunction: DigestFunction, hash: string): Promise<Digest | undefined> {
    return this.#next.findByHash(digestFunction, hash);
  }

  readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]> {
    return this.#next.readBatch(digests);
  }

  read(digest: Digest, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    return this.#next.read(digest, range);
  }

  async writeBatch(blobs: readonly { digest: Digest; bytes: Uint8Array }[]): Promise<(Error | undefined)[]> {
    const refusals = blobs.map(({ digest }) => this.#refusal(digest));
    const verdicts = (await this.#next.writeBatch(blobs.filter((_, i) => refusals[i] === undefined))).values();
    return refusals.map((refusal) => refusal ?? verdicts.next().value);
  }

  async write(upload: BlobUpload, offsetBytes: number, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const refusal = this.#refusal(upload.digest);
    if (refusal !== undefined) throw refusal;
    return this.#next.write(upload, offsetBytes, chunks);
  }

  committedBytes(upload: BlobUpload): Promise<number> {
    return this.#next.committedBytes(upload);
  }

  #refusal(digest: Digest): ConnectError | undefined {
    if (digest.sizeBytes <= this.#maxBlobBytes) return undefined;
    return new ConnectError(
      `blob ${digestKey(digest)} is larger than the store's max_blob_bytes of ${this.#maxBlobBytes}`,
      Code.ResourceExhausted,
    );
  }
}
