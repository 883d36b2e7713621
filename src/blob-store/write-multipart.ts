import { Code, ConnectError } from "@connectrpc/connect";
import type { UploadPart, UploadSession } from "../../durable-objects/cache-shard/rpc.ts";
import type { ByteSource } from "../bytes/byte-source.ts";
import { SourceEndedError, streamFixedLength } from "../bytes/fixed-length.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import { digestKey } from "../digest/digest.ts";
import { hashMismatch, startHash } from "../digest/verify.ts";
import { unavailableError } from "../errors/unavailable.ts";
import type { BlobUpload } from "./blob-store.ts";
import { discard } from "./discard.ts";
import { NoSuchUploadError, type R2Objects } from "./r2-objects.ts";
import { indexObject } from "./write-object.ts";

/** R2 wants parts of one size, of at least 5 MiB, and takes 10,000 of them. */
const MIN_PART_BYTES = 8 << 20;
const MAX_PARTS = 10_000;

const READ_BACK_CHUNK_BYTES = 256 << 10;
const RETRY_AFTER_MS = 1000;

/** The size of every part but the last of a blob: 8 MiB, and more MiB only where that would make too many parts. */
export function partSizeFor(sizeBytes: number): number {
  const mib = 1 << 20;
  return Math.max(MIN_PART_BYTES, Math.ceil(sizeBytes / MAX_PARTS / mib) * mib);
}

/**
 * Stores a blob as the parts of one R2 object. Each part goes straight on to R2, and is recorded when R2 has
 * acknowledged it, so that an attempt that breaks off can be taken up at the last such part. The last part of all is never recorded:
 * a client that hears of all of its bytes would take the blob for stored.
 *
 * The bytes are hashed as they pass. An attempt that takes up another has not seen them all, and reads them back.
 *
 * @returns what is durable.
 * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the digest or nothing is to be taken up at
 * `offsetBytes`; ABORTED if another attempt has begun anew; UNAVAILABLE if R2 has lost the parts.
 */
export async function writeMultipart(
  shards: CacheShards,
  objects: R2Objects,
  upload: BlobUpload,
  offsetBytes: number,
  source: ByteSource,
): Promise<number> {
  const { digest } = upload;
  const begun = offsetBytes === 0 ? await begin(shards, objects, upload) : await takeUp(shards, upload, offsetBytes);
  const { session, parts } = begun;
  const { uploadId, r2UploadId, partSizeBytes } = session;
  const hash = offsetBytes === 0 ? startHash(digest.digestFunction) : undefined;

  let committedBytes = offsetBytes;
  // While a part is on its way, R2 may still be at work on the one before.
  let acknowledged = Promise.resolve();
  try {
    for (let sentBytes = offsetBytes; sentBytes < digest.sizeBytes;) {
      const partNumber = Math.floor(sentBytes / partSizeBytes) + 1;
      const partBytes = Math.min(partSizeBytes, digest.sizeBytes - sentBytes);
      const { sent, stored } = streamFixedLength(
        source,
        partBytes,
        (stream) => objects.uploadPart(digest, uploadId, r2UploadId, partNumber, stream),
        (bytes) => hash?.update(bytes),
      );
      await sent.finally(() => acknowledged);
      sentBytes += partBytes;
      acknowledged = stored.then(async ({ etag }) => {
        parts.push({ partNumber, etag });
        if (sentBytes === digest.sizeBytes) return;
        if (!(await shards.recordPart(upload, uploadId, { partNumber, etag }))) throw replacedError(upload);
        committedBytes = sentBytes;
      });
      // It is awaited behind the next part, and must not count as unhandled until then.
      acknowledged.catch(() => undefined);
    }
    await acknowledged;
    const storedHash = hash?.digest("hex");
    if (storedHash !== undefined && storedHash !== digest.hash) {
      await drop(shards, objects, upload, session);
      throw hashMismatch(digest, storedHash);
    }
    await objects.completeMultipart(digest, uploadId, r2UploadId, parts);
    if (storedHash === undefined) await verifyStored(shards, objects, upload, session);
  } catch (error) {
    if (error instanceof SourceEndedError) return committedBytes;
    if (!(error instanceof NoSuchUploadError)) throw error;
    // An earlier attempt may have completed the object and then been cut off before it was indexed.
    if ((await objects.size(digest, uploadId)) !== digest.sizeBytes) {
      await shards.endUpload(upload, uploadId);
      throw unavailableError(`the upload of blob ${digestKey(digest)} was lost; start it again`, RETRY_AFTER_MS, error);
    }
    await verifyStored(shards, objects, upload, session);
  }
  await indexObject(shards, objects, digest, uploadId);
  await shards.endUpload(upload, uploadId);
  return digest.sizeBytes;
}

/** How much of an upload that has begun is durable. */
export async function committedMultipartBytes(shards: CacheShards, upload: BlobUpload): Promise<number> {
  const found = await shards.findUpload(upload);
  return found === undefined ? 0 : found.parts.length * found.session.partSizeBytes;
}

interface Begun {
  readonly session: UploadSession;
  /** The parts that are durable. */
  readonly parts: UploadPart[];
}

async function begin(shards: CacheShards, objects: R2Objects, upload: BlobUpload): Promise<Begun> {
  const { digest } = upload;
  const uploadId = crypto.randomUUID();
  const r2UploadId = await objects.beginMultipart(digest, uploadId);
  const session = { uploadId, r2UploadId, partSizeBytes: partSizeFor(digest.sizeBytes) };
  const replaced = await shards.beginUpload(upload, session);
  if (replaced !== undefined) {
    await discard("a replaced upload", () => objects.abortMultipart(digest, replaced.uploadId, replaced.r2UploadId));
  }
  return { session, parts: [] };
}

async function takeUp(shards: CacheShards, upload: BlobUpload, offsetBytes: number): Promise<Begun> {
  const found = await shards.findUpload(upload);
  const committedBytes = found === undefined ? 0 : found.parts.length * found.session.partSizeBytes;
  if (found === undefined || committedBytes !== offsetBytes)
    throw wrongOffsetError(upload, offsetBytes, committedBytes);
  return found;
}

/** INVALID_ARGUMENT: ByteStream wants the first write_offset to be what QueryWriteStatus says. */
export function wrongOffsetError({ digest }: BlobUpload, offsetBytes: number, committedBytes: number): ConnectError {
  return new ConnectError(
    `upload of blob ${digestKey(digest)} can't go on at write_offset ${offsetBytes}: ` +
      `${committedBytes} bytes are committed; resume there or start again at 0`,
    Code.InvalidArgument,
  );
}

function replacedError({ digest, clientUploadId }: BlobUpload): ConnectError {
  return new ConnectError(
    `upload ${clientUploadId} of blob ${digestKey(digest)} was started again by another call`,
    Code.Aborted,
  );
}

async function verifyStored(
  shards: CacheShards,
  objects: R2Objects,
  upload: BlobUpload,
  session: UploadSession,
): Promise<void> {
  const { digest } = upload;
  const hash = startHash(digest.digestFunction);
  const stored: ReadableStream<Uint8Array> | undefined = await objects.get(digest, session.uploadId);
  if (stored !== undefined) {
    const chunks = readChunks(stored, { maxBytes: READ_BACK_CHUNK_BYTES, minBytes: READ_BACK_CHUNK_BYTES });
    for await (const bytes of chunks) hash.update(bytes);
  }
  const storedHash = hash.digest("hex");
  if (storedHash === digest.hash) return;
  await shards.endUpload(upload, session.uploadId);
  await discard("an object with a wrong hash", () => objects.delete(digest, session.uploadId));
  throw hashMismatch(digest, storedHash);
}

/** Ends an upload whose parts are of no use. */
async function drop(
  shards: CacheShards,
  objects: R2Objects,
  upload: BlobUpload,
  { uploadId, r2UploadId }: UploadSession,
): Promise<void> {
  await shards.endUpload(upload, uploadId);
  await discard("an upload with a wrong hash", () => objects.abortMultipart(upload.digest, uploadId, r2UploadId));
}
