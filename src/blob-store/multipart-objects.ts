import { Code, ConnectError } from "@connectrpc/connect";
import type { UploadPart, UploadSession } from "../../durable-objects/cache-shard/rpc.ts";
import type { ByteSource } from "../bytes/byte-source.ts";
import { SourceEndedError, streamFixedLength } from "../bytes/fixed-length.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import { digestKey } from "../digest/digest.ts";
import { hashMismatch, startHash, type RunningHash } from "../digest/verify.ts";
import { unavailableError } from "../errors/unavailable.ts";
import type { BlobUpload } from "./blob-store.ts";
import { indexObject } from "./index-object.ts";
import { KeptHashes } from "./kept-hashes.ts";
import { partSizeFor } from "./part-size.ts";
import { NoSuchUploadError, type R2Objects } from "./r2-objects.ts";
import { wrongOffsetError } from "./wrong-offset.ts";

const READ_BACK_CHUNK_BYTES = 256 << 10;
const RETRY_AFTER_MS = 1000;

/** Those of this isolate. An upload's id is random, so stores don't meet in it. */
const keptHashes = new KeptHashes();

/** One call's attempt to go on with an upload. */
interface Attempt {
  readonly upload: BlobUpload;
  readonly session: UploadSession;
  /** Those that R2 has acknowledged. */
  readonly parts: UploadPart[];
  /** Sees all bytes as they pass; undefined if an earlier attempt has sent some of them that no hash here has seen. */
  readonly hash: RunningHash | undefined;
  hashedBytes: number;
  /** How much of the blob a later attempt can build on. */
  committedBytes: number;
}

/**
 * Blobs that go to R2 in parts. Each part goes straight on to R2, and is recorded when R2 has acknowledged it, so that an
 * upload that breaks off can be taken up behind the last such part, hours later and by another isolate. The very last part
 * of a blob is never recorded: a client that hears of all of its bytes would take the blob for stored.
 *
 * The bytes are hashed as they pass. An attempt that takes up another goes on with its hash where that is at hand; else it
 * has not seen them all, and reads the object back before it is indexed.
 */
export class MultipartObjects {
  readonly #shards: CacheShards;
  readonly #objects: R2Objects;

  constructor(shards: CacheShards, objects: R2Objects) {
    this.#shards = shards;
    this.#objects = objects;
  }

  /** How much of an upload that has begun is durable. */
  async committedBytes(upload: BlobUpload): Promise<number> {
    const found = await this.#shards.uploads.find(upload);
    return found === undefined ? 0 : found.parts.length * found.session.partSizeBytes;
  }

  /**
   * @returns what is durable.
   * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the digest or there is nothing to be taken up at
   * `offsetBytes`; ABORTED if another call has begun the upload anew; UNAVAILABLE if R2 has lost the parts.
   */
  async write(upload: BlobUpload, offsetBytes: number, source: ByteSource): Promise<number> {
    const attempt = offsetBytes === 0 ? await this.#begin(upload) : await this.#takeUp(upload, offsetBytes);
    try {
      await this.#sendParts(attempt, source);
      await this.#complete(attempt);
    } catch (error) {
      if (error instanceof SourceEndedError) {
        keepHash(attempt);
        return attempt.committedBytes;
      }
      if (!(error instanceof NoSuchUploadError)) throw error;
      await this.#recover(attempt, error);
    }
    await indexObject(this.#shards, upload.digest, attempt.session.uploadId, upload);
    return upload.digest.sizeBytes;
  }

  async #begin(upload: BlobUpload): Promise<Attempt> {
    const { digest } = upload;
    const uploadId = crypto.randomUUID();
    const r2UploadId = await this.#objects.beginMultipart(digest, uploadId);
    const session = { uploadId, r2UploadId, partSizeBytes: partSizeFor(digest.sizeBytes) };
    await this.#shards.uploads.begin(upload, session);
    const hash = startHash(digest.digestFunction);
    return { upload, session, parts: [], hash, hashedBytes: 0, committedBytes: 0 };
  }

  async #takeUp(upload: BlobUpload, offsetBytes: number): Promise<Attempt> {
    const found = await this.#shards.uploads.find(upload);
    const committedBytes = found === undefined ? 0 : found.parts.length * found.session.partSizeBytes;
    if (found === undefined || committedBytes !== offsetBytes) {
      throw wrongOffsetError(upload, offsetBytes, committedBytes);
    }
    const { session, parts } = found;
    const hash = keptHashes.take(session.uploadId, parts);
    return { upload, session, parts, hash, hashedBytes: committedBytes, committedBytes };
  }

  /** Sends what is left of the blob. While a part is on its way, R2 may still be at work on the one before. */
  async #sendParts(attempt: Attempt, source: ByteSource): Promise<void> {
    const { upload, session } = attempt;
    const { uploadId, r2UploadId, partSizeBytes } = session;
    const { digest } = upload;
    let acknowledged = Promise.resolve();
    for (let startBytes = attempt.committedBytes; startBytes < digest.sizeBytes; startBytes += partSizeBytes) {
      const partNumber = startBytes / partSizeBytes + 1;
      const { sent, stored } = streamFixedLength(
        source,
        Math.min(partSizeBytes, digest.sizeBytes - startBytes),
        (stream) => this.#objects.uploadPart(digest, uploadId, r2UploadId, partNumber, stream),
        (bytes) => {
          attempt.hash?.update(bytes);
          attempt.hashedBytes += bytes.length;
        },
      );
      await sent.finally(() => acknowledged);
      acknowledged = stored.then(({ etag }) => this.#acknowledge(attempt, { partNumber, etag }));
      // It is awaited behind the next part, and must not count as unhandled until then.
      acknowledged.catch(() => undefined);
    }
    await acknowledged;
  }

  async #acknowledge(attempt: Attempt, part: UploadPart): Promise<void> {
    const { upload, session, parts } = attempt;
    parts.push(part);
    const endBytes = part.partNumber * session.partSizeBytes;
    if (endBytes >= upload.digest.sizeBytes) return;
    if (!(await this.#shards.uploads.recordPart(upload, session.uploadId, part))) {
      throw new ConnectError(
        `upload ${upload.clientUploadId} of blob ${digestKey(upload.digest)} was started again by another call`,
        Code.Aborted,
      );
    }
    attempt.committedBytes = endBytes;
  }

  /** Makes the parts one object, verified. */
  async #complete({ upload, session, parts, hash }: Attempt): Promise<void> {
    const { digest } = upload;
    const { uploadId, r2UploadId } = session;
    if (hash === undefined) {
      await this.#objects.completeMultipart(digest, uploadId, r2UploadId, parts);
      await this.#verifyObject(upload, uploadId);
      return;
    }
    const sentHash = hash.digest("hex");
    if (sentHash !== digest.hash) {
      await this.#shards.uploads.end(upload, uploadId);
      throw hashMismatch(digest, sentHash);
    }
    await this.#objects.completeMultipart(digest, uploadId, r2UploadId, parts);
  }

  /** R2 doesn't know the upload: an earlier attempt completed it and was cut off before the index, or R2 has dropped it. */
  async #recover({ upload, session: { uploadId } }: Attempt, cause: NoSuchUploadError): Promise<void> {
    const { digest } = upload;
    if ((await this.#objects.size(digest, uploadId)) === digest.sizeBytes) return this.#verifyObject(upload, uploadId);
    await this.#shards.uploads.end(upload, uploadId);
    throw unavailableError(`the upload of blob ${digestKey(digest)} was lost; start it again`, RETRY_AFTER_MS, cause);
  }

  /**
   * Hashes an object as it is stored, and gives it up if it is not the blob.
   * @throws ConnectError INVALID_ARGUMENT if it isn't, UNAVAILABLE if it can't be read: then it is not known yet.
   */
  async #verifyObject(upload: BlobUpload, uploadId: string): Promise<void> {
    const { digest } = upload;
    const hash = startHash(digest.digestFunction);
    const stored: ReadableStream<Uint8Array> | undefined = await this.#objects.get(digest, uploadId);
    if (stored !== undefined) {
      const chunks = readChunks(stored, {
        lengthBytes: digest.sizeBytes,
        maxBytes: READ_BACK_CHUNK_BYTES,
        minBytes: READ_BACK_CHUNK_BYTES,
      });
      for await (const bytes of chunks) hash.update(bytes);
    }
    const storedHash = hash.digest("hex");
    if (storedHash === digest.hash) return;
    await this.#shards.uploads.end(upload, uploadId);
    throw hashMismatch(digest, storedHash);
  }
}

/** For the next attempt, if that can go on just where the hash has got. */
function keepHash({ session, parts, hash, hashedBytes, committedBytes }: Attempt): void {
  if (hash !== undefined && hashedBytes === committedBytes) keptHashes.keep(session.uploadId, parts, hash);
}
