import { Code, ConnectError } from "@connectrpc/connect";
import { ChunkingFunction_Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { chunkBySize } from "../batching/chunk.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import { missingBlobsError } from "../errors/missing-blobs.ts";
import { takeMemory } from "../memory/isolate-memory.ts";
import type { ChargeBytes } from "../quota/charge.ts";
import type { ChunkLists } from "./chunk-lists.ts";
import { CHUNK_BATCH_BYTES, MAX_CHUNKS } from "./limits.ts";

const READ_BYTES = 256 << 10;

/** Who wants a blob to be spliced. */
export interface Splicer {
  /** The instance's name. */
  readonly instance: string;
  /** Is told of the blob's bytes before anything is stored, and throws if they may not be. */
  readonly charge: ChargeBytes;
}

/**
 * Stores the blob that its chunks are, one after another, and remembers that it is made of them.
 *
 * @throws ConnectError NOT_FOUND if chunks are not stored, naming them; INVALID_ARGUMENT if they don't make that blob, or
 * are too many; as `splicer.charge` does.
 */
export async function spliceBlob(
  blobs: BlobStore,
  lists: ChunkLists,
  { instance, charge }: Splicer,
  blob: Digest,
  chunks: readonly Digest[],
): Promise<void> {
  if (chunks.length > MAX_CHUNKS) {
    throw new ConnectError(
      `blob ${digestKey(blob)} has ${chunks.length} chunks; at most ${MAX_CHUNKS} can be spliced: upload it by ByteStream`,
      Code.InvalidArgument,
    );
  }
  const sumBytes = chunks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (sumBytes !== blob.sizeBytes) {
    throw new ConnectError(
      `the chunks of blob ${digestKey(blob)} have ${sumBytes} bytes instead of ${blob.sizeBytes}`,
      Code.InvalidArgument,
    );
  }
  const missing = await blobs.findMissing([blob, ...chunks]);
  // A blob that is stored needs no splicing. Whether these are its chunks is not known then, and not remembered.
  if (!missing.some((digest) => digestKey(digest) === digestKey(blob))) return;
  if (missing.length > 1) throw missingBlobsError(missing.slice(1), Code.NotFound);
  await charge(blob.sizeBytes);

  const release = await takeMemory(2 * CHUNK_BATCH_BYTES);
  try {
    const upload = { instance, clientUploadId: crypto.randomUUID(), digest: blob };
    await blobs.write(upload, 0, bytesOf(blobs, chunks));
  } finally {
    release();
  }
  // REAPI expects no server to verify how a client says that it made the cuts, and others would take it for a fact.
  await lists.put(blob, { chunks, chunkingFunction: ChunkingFunction_Value.UNKNOWN });
}

async function* bytesOf(blobs: BlobStore, chunks: readonly Digest[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const batch of chunkBySize(chunks, ({ sizeBytes }) => sizeBytes, CHUNK_BATCH_BYTES)) {
    const [first] = batch;
    if (first !== undefined && first.sizeBytes > CHUNK_BATCH_BYTES) yield* bytesOfLarge(blobs, first);
    else yield* bytesOfBatch(blobs, batch);
  }
}

async function* bytesOfBatch(blobs: BlobStore, batch: readonly Digest[]): AsyncGenerator<Uint8Array, void, undefined> {
  const contents = await blobs.readBatch(batch);
  for (const [position, digest] of batch.entries()) {
    const bytes = contents[position];
    if (bytes === undefined) throw missingBlobsError([digest], Code.NotFound);
    yield bytes;
  }
}

async function* bytesOfLarge(blobs: BlobStore, digest: Digest): AsyncGenerator<Uint8Array, void, undefined> {
  const stream = await blobs.read(digest);
  if (stream === undefined) throw missingBlobsError([digest], Code.NotFound);
  yield* readChunks(stream, { lengthBytes: digest.sizeBytes, maxBytes: READ_BYTES, minBytes: READ_BYTES });
}
