import { Code, ConnectError } from "@connectrpc/connect";
import { ChunkingFunction_Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import { digestKey, parseDigest, type Digest } from "../digest/digest.ts";
import { startHash } from "../digest/verify.ts";
import { missingBlobsError } from "../errors/missing-blobs.ts";
import { takeMemory } from "../memory/isolate-memory.ts";
import type { ChargeBytes } from "../quota/charge.ts";
import type { ChunkList, ChunkLists } from "./chunk-lists.ts";
import { cutIntoChunks, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from "./fast-cdc.ts";
import { CHUNK_BATCH_BYTES, MAX_CHUNKS, MAX_SPLIT_BYTES } from "./limits.ts";

const READ_BYTES = 256 << 10;

/** The buffer that chunks are cut from, and a batch of them, the last of which may exceed its limit. */
const HELD_BYTES = 2 * MAX_CHUNK_BYTES + CHUNK_BATCH_BYTES + MAX_CHUNK_BYTES;

/** What whoever asks for a blob's chunks may have stored for it. */
export interface Cutting {
  /** Whether chunks may be cut and stored. */
  readonly isAllowed: boolean;
  /** Is told of bytes that are about to be stored, and throws if they may not be. */
  readonly charge: ChargeBytes;
}

/**
 * The chunks of a stored blob, all of which are stored: those that it was spliced from or split into before, as long as
 * they are there, else ones that are cut and stored now.
 *
 * @throws ConnectError NOT_FOUND if the blob is not stored, or its chunks are not and must not be cut; INVALID_ARGUMENT if
 * it is too large to be split; as `cutting.charge` does.
 */
export async function splitBlob(
  blobs: BlobStore,
  lists: ChunkLists,
  blob: Digest,
  cutting: Cutting,
): Promise<ChunkList> {
  const known = blob.sizeBytes <= MIN_CHUNK_BYTES ? wholeBlob(blob) : await lists.get(blob);
  if (known !== undefined) {
    const missing = await blobs.findMissing([blob, ...known.chunks]);
    if (missing.length === 0) return known;
    if (missing.some((digest) => digestKey(digest) === digestKey(blob))) throw missingBlobsError([blob], Code.NotFound);
  }
  if (blob.sizeBytes > MAX_SPLIT_BYTES) throw tooLarge(blob);
  if (!cutting.isAllowed) throw await notCut(blobs, blob);
  const list = {
    chunks: await storeChunks(blobs, blob, cutting),
    chunkingFunction: ChunkingFunction_Value.FAST_CDC_2020,
  };
  await lists.put(blob, list);
  return list;
}

/** A blob that is too small to be cut. */
function wholeBlob(blob: Digest): ChunkList {
  return { chunks: [blob], chunkingFunction: ChunkingFunction_Value.FAST_CDC_2020 };
}

async function storeChunks(blobs: BlobStore, blob: Digest, { charge }: Cutting): Promise<Digest[]> {
  const release = await takeMemory(HELD_BYTES);
  try {
    const stream = await blobs.read(blob);
    if (stream === undefined) throw missingBlobsError([blob], Code.NotFound);
    await chargeFor(stream, blob, charge);
    const chunks: Digest[] = [];
    let batch: { digest: Digest; bytes: Uint8Array }[] = [];
    let batchBytes = 0;
    const storeBatch = async () => {
      const refusal = (await blobs.writeBatch(batch)).find((verdict) => verdict !== undefined);
      if (refusal !== undefined) throw refusal;
      batch = [];
      batchBytes = 0;
    };
    const content = readChunks(stream, { lengthBytes: blob.sizeBytes, maxBytes: READ_BYTES });
    for await (const bytes of cutIntoChunks(content)) {
      if (chunks.length === MAX_CHUNKS) throw tooLarge(blob);
      const hash = startHash(blob.digestFunction).update(bytes).digest("hex");
      const digest = parseDigest(blob.digestFunction, hash, bytes.length);
      chunks.push(digest);
      batch.push({ digest, bytes });
      batchBytes += bytes.length;
      if (batchBytes >= CHUNK_BATCH_BYTES) await storeBatch();
    }
    await storeBatch();
    return chunks;
  } finally {
    release();
  }
}

/** Counts the whole blob, before anything is stored of it: there is no going on with what was begun. */
async function chargeFor(stream: ReadableStream<Uint8Array>, blob: Digest, charge: ChargeBytes): Promise<void> {
  try {
    await charge(blob.sizeBytes);
  } catch (error) {
    await stream.cancel();
    throw error;
  }
}

/** Why there are no chunks for somebody who may not have any stored. */
async function notCut(blobs: BlobStore, blob: Digest): Promise<ConnectError> {
  const missing = await blobs.findMissing([blob]);
  if (missing.length > 0) return missingBlobsError([blob], Code.NotFound);
  return new ConnectError(
    `no chunks of blob ${digestKey(blob)} are stored, and cutting it takes the right to write blobs; read it by ByteStream`,
    Code.NotFound,
  );
}

function tooLarge(blob: Digest): ConnectError {
  return new ConnectError(
    `blob ${digestKey(blob)} is too large to be split: it would be more than ${MAX_CHUNKS} chunks; read it by ByteStream`,
    Code.InvalidArgument,
  );
}
