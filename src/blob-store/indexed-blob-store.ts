import type { BlobEntry } from "../../durable-objects/cache-shard/rpc.ts";
import { ByteSource } from "../bytes/byte-source.ts";
import { concatenate } from "../bytes/concatenate.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import { mapBounded } from "../batching/map-bounded.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import type { DigestColumns } from "../digest/digest-columns.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import { digestKey, parseDigest, type Digest } from "../digest/digest.ts";
import { digestMismatch } from "../digest/verify.ts";
import { toError } from "../errors/to-error.ts";
import { log } from "../log.ts";
import type { BlobRange, BlobStore, BlobUpload } from "./blob-store.ts";
import { InlineRows } from "./inline-rows.ts";
import { MultipartObjects } from "./multipart-objects.ts";
import type { ObjectReads } from "./object-reads.ts";
import type { R2Objects } from "./r2-objects.ts";
import { SINGLE_PUT_MAX_BYTES, SingleObjects } from "./single-objects.ts";
import { wrongOffsetError } from "./wrong-offset.ts";

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
  readonly #reads: ObjectReads;
  readonly #inlineMaxBytes: number;
  readonly #inlineRows: InlineRows;
  readonly #singleObjects: SingleObjects;
  readonly #multipartObjects: MultipartObjects;

  /** @param reads where objects are read to be served; what is stored is verified in `objects` itself. */
  constructor(shards: CacheShards, objects: R2Objects, reads: ObjectReads, inlineMaxBytes: number) {
    this.#shards = shards;
    this.#reads = reads;
    this.#inlineMaxBytes = inlineMaxBytes;
    this.#inlineRows = new InlineRows(shards);
    this.#singleObjects = new SingleObjects(shards, objects);
    this.#multipartObjects = new MultipartObjects(shards, objects);
  }

  findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    return this.#shards.blobs.findMissing(digests);
  }

  findMissingColumns(digests: DigestColumns): Promise<Uint8Array> {
    return this.#shards.blobs.findMissingColumns(digests);
  }

  async findByHash(digestFunction: DigestFunction, hash: string): Promise<Digest | undefined> {
    const sizeBytes = await this.#shards.blobs.findByHash(digestFunction, hash);
    return sizeBytes === undefined ? undefined : parseDigest(digestFunction, hash, sizeBytes);
  }

  async readBatch(digests: readonly Digest[]): Promise<(Uint8Array | undefined)[]> {
    const entries = await this.#shards.blobs.lookUp(digests);
    const found = digests.map((digest, position) => ({ digest, entry: entries[position] }));
    return mapBounded(found, MAX_R2_OPERATIONS, async ({ digest, entry }) => {
      if (entry === undefined) return undefined;
      if ("bytes" in entry) return entry.bytes;
      const stream = await this.#open(digest, entry);
      return stream === undefined ? undefined : readWhole(stream, digest.sizeBytes);
    });
  }

  async read(digest: Digest, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    const [entry] = await this.#shards.blobs.lookUp([digest]);
    return entry === undefined ? undefined : this.#open(digest, entry, range);
  }

  async writeBatch(blobs: readonly Blob[]): Promise<(Error | undefined)[]> {
    const verdicts: (Error | undefined)[] = blobs.map(({ digest, bytes }) => digestMismatch(digest, bytes));
    const store = async (
      belongs: (digest: Digest) => boolean,
      storeBatch: (blobs: readonly Blob[]) => Promise<(Error | undefined)[]>,
    ) => {
      const positions = blobs.flatMap(({ digest }, i) => (verdicts[i] === undefined && belongs(digest) ? [i] : []));
      const batch = positions.flatMap((position) => blobs[position] ?? []);
      if (batch.length === 0) return;
      const batchVerdicts = await storeBatch(batch);
      positions.forEach((position, i) => (verdicts[position] = batchVerdicts[i]));
    };
    await Promise.all([
      store(
        (digest) => this.#isInline(digest),
        (batch) => this.#inlineRows.writeBatch(batch),
      ),
      store(
        (digest) => !this.#isInline(digest),
        (batch) => this.#putMissing(batch),
      ),
    ]);
    return verdicts;
  }

  async write(upload: BlobUpload, offsetBytes: number, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const { digest } = upload;
    const source = new ByteSource(chunks);
    if (this.#isInline(digest)) {
      if (offsetBytes !== 0) throw wrongOffsetError(upload, offsetBytes, 0);
      return this.#inlineRows.write(digest, source);
    }
    const [missing] = await this.#shards.blobs.findMissing([digest]);
    if (missing === undefined) return digest.sizeBytes;
    if (digest.sizeBytes > SINGLE_PUT_MAX_BYTES) return this.#multipartObjects.write(upload, offsetBytes, source);
    if (offsetBytes !== 0) throw wrongOffsetError(upload, offsetBytes, 0);
    return this.#singleObjects.write(digest, source);
  }

  async committedBytes(upload: BlobUpload): Promise<number> {
    return upload.digest.sizeBytes > SINGLE_PUT_MAX_BYTES ? this.#multipartObjects.committedBytes(upload) : 0;
  }

  #isInline({ sizeBytes }: Digest): boolean {
    return sizeBytes <= this.#inlineMaxBytes;
  }

  async #putMissing(blobs: readonly Blob[]): Promise<(Error | undefined)[]> {
    const missing = new Set((await this.#shards.blobs.findMissing(blobs.map(({ digest }) => digest))).map(digestKey));
    return mapBounded(blobs, MAX_R2_OPERATIONS, async ({ digest, bytes }) => {
      if (!missing.has(digestKey(digest))) return undefined;
      return this.#singleObjects.put(digest, bytes).then(() => undefined, toError);
    });
  }

  async #open(digest: Digest, entry: BlobEntry, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    if ("bytes" in entry) {
      const { offsetBytes = 0, limitBytes = entry.bytes.length } = range ?? {};
      return new Response(entry.bytes.subarray(offsetBytes, offsetBytes + limitBytes)).body ?? undefined;
    }
    // R2 has no empty ranges.
    if (range?.offsetBytes === digest.sizeBytes) return new Response(new Uint8Array(0)).body ?? undefined;
    const stream = await this.#reads.get(digest, entry.uploadId, range);
    if (stream !== undefined) return stream;
    // Between the two answers the blob was removed, perhaps stored again; or the store has lost it.
    const [now] = await this.#shards.blobs.lookUp([digest]);
    if (now === undefined) return undefined;
    if ("bytes" in now || now.uploadId !== entry.uploadId) return this.#open(digest, now, range);
    log.error(
      { digest: digestKey(digest), uploadId: entry.uploadId },
      "an indexed object is gone from R2; forgetting it",
    );
    await this.#shards.blobs.forgetObject(digest, entry.uploadId);
    return undefined;
  }
}

async function readWhole(stream: ReadableStream<Uint8Array>, lengthBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const options = { lengthBytes, maxBytes: Math.max(lengthBytes, 1), minBytes: Math.max(lengthBytes, 1) };
  for await (const chunk of readChunks(stream, options)) chunks.push(chunk);
  return concatenate(chunks);
}
