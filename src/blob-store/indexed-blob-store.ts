import type { BlobEntry } from "../../durable-objects/cache-shard/rpc.ts";
import { ByteSource } from "../bytes/byte-source.ts";
import { mapBounded } from "../bytes/map-bounded.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import { digestMismatch } from "../digest/verify.ts";
import { log } from "../log.ts";
import type { BlobRange, BlobStore, BlobUpload } from "./blob-store.ts";
import type { R2Objects } from "./r2-objects.ts";
import { writeInline } from "./write-inline.ts";
import { committedMultipartBytes, writeMultipart, wrongOffsetError } from "./write-multipart.ts";
import { putObject, SINGLE_PUT_MAX_BYTES, writeObject } from "./write-object.ts";

/** A Worker has six connections a request; more operations would only wait. */
const MAX_R2_OPERATIONS = 6;

interface Blob {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/**
 * The store proper: the index in the CacheShard objects says which blobs exist and holds the bytes of those up to
 * `inlineMaxBytes`; the bytes of the others are R2 objects. A blob is indexed after R2 has acknowledged it.
 */
export class IndexedBlobStore implements BlobStore {
  readonly #shards: CacheShards;
  readonly #objects: R2Objects;
  readonly #inlineMaxBytes: number;

  constructor(shards: CacheShards, objects: R2Objects, inlineMaxBytes: number) {
    this.#shards = shards;
    this.#objects = objects;
    this.#inlineMaxBytes = inlineMaxBytes;
  }

  findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    return this.#shards.findMissing(digests);
  }

  async readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]> {
    const entries = await this.#shards.lookUp(digests);
    const found = digests.map((digest, position) => ({ digest, entry: entries[position] }));
    return mapBounded(found, MAX_R2_OPERATIONS, async ({ digest, entry }) => {
      if (entry === undefined) return undefined;
      if ("bytes" in entry) return entry.bytes;
      const stream = await this.#open(digest, entry);
      return stream === undefined ? undefined : new Uint8Array(await new Response(stream).arrayBuffer());
    });
  }

  async read(digest: Digest, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    const [entry] = await this.#shards.lookUp([digest]);
    return entry === undefined ? undefined : this.#open(digest, entry, range);
  }

  async writeBatch(blobs: readonly Blob[]): Promise<(Error | undefined)[]> {
    const errors = blobs.map(({ digest, bytes }) => digestMismatch(digest, bytes));
    const good = blobs.filter((_, position) => errors[position] === undefined);
    const [inline, large] = [good.filter((blob) => this.#isInline(blob)), good.filter((blob) => !this.#isInline(blob))];
    await Promise.all([
      inline.length === 0 ? undefined : this.#shards.insertInline(inline),
      large.length === 0 ? undefined : this.#putMissing(large),
    ]);
    return errors;
  }

  async write(upload: BlobUpload, offsetBytes: number, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const { digest } = upload;
    const source = new ByteSource(chunks);
    if (digest.sizeBytes > SINGLE_PUT_MAX_BYTES && !this.#isInline(upload)) {
      return writeMultipart(this.#shards, this.#objects, upload, offsetBytes, source);
    }
    if (offsetBytes !== 0) throw wrongOffsetError(upload, offsetBytes, 0);
    return this.#isInline(upload)
      ? writeInline(this.#shards, digest, source)
      : writeObject(this.#shards, this.#objects, digest, source);
  }

  async committedBytes(upload: BlobUpload): Promise<number> {
    return upload.digest.sizeBytes > SINGLE_PUT_MAX_BYTES ? committedMultipartBytes(this.#shards, upload) : 0;
  }

  #isInline({ digest }: { readonly digest: Digest }): boolean {
    return digest.sizeBytes <= this.#inlineMaxBytes;
  }

  async #putMissing(blobs: readonly Blob[]): Promise<void> {
    const missing = new Set((await this.#shards.findMissing(blobs.map(({ digest }) => digest))).map(digestKey));
    await mapBounded(blobs, MAX_R2_OPERATIONS, async ({ digest, bytes }) => {
      if (missing.has(digestKey(digest))) await putObject(this.#shards, this.#objects, digest, bytes);
    });
  }

  async #open(digest: Digest, entry: BlobEntry, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    if ("bytes" in entry) {
      const { offsetBytes = 0, limitBytes = entry.bytes.length } = range ?? {};
      return new Response(entry.bytes.subarray(offsetBytes, offsetBytes + limitBytes)).body ?? undefined;
    }
    // R2 has no empty ranges.
    if (range?.offsetBytes === digest.sizeBytes) return new Response(new Uint8Array(0)).body ?? undefined;
    const stream = await this.#objects.get(digest, entry.uploadId, range);
    if (stream !== undefined) return stream;
    // Between the two answers the blob was removed, perhaps stored again; or the store has lost it.
    const [now] = await this.#shards.lookUp([digest]);
    if (now === undefined) return undefined;
    if ("bytes" in now || now.uploadId !== entry.uploadId) return this.#open(digest, now, range);
    log.error(
      { digest: digestKey(digest), uploadId: entry.uploadId },
      "an indexed object is gone from R2; forgetting it",
    );
    await this.#shards.forgetObject(digest, entry.uploadId);
    return undefined;
  }
}
