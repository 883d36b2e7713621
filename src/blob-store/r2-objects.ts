import { ConnectError } from "@connectrpc/connect";
import { MD5, SHA1, SHA256, SHA384, SHA512, type DigestFunction } from "../digest/digest-function.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import { hashMismatch } from "../digest/verify.ts";
import { unavailableError } from "../errors/unavailable.ts";
import { withinTime } from "../errors/within-time.ts";
import { log } from "../log.ts";
import type { BlobRange } from "./blob-store.ts";
import type { ObjectReads } from "./object-reads.ts";
import { SourceEndedError } from "../bytes/fixed-length.ts";
import { joinStretches } from "./join-stretches.ts";
import { formatObjectKey, objectKeyPrefix, parseObjectKey } from "./object-key.ts";
import { stretchesOf, type Stretch } from "./stretches.ts";

/** R2's own codes, which end the messages of its errors in parentheses. */
const CHECKSUM_MISMATCH = "(10037)";
const NO_SUCH_UPLOAD = "(10024)";

/** What R2 takes as options of a put, by the names that these functions have there too. */
const R2_CHECKSUMS: ReadonlySet<DigestFunction> = new Set([MD5, SHA1, SHA256, SHA384, SHA512]);

const RETRY_AFTER_MS = 1000;

/** R2 no longer knows a multipart upload: it was completed, aborted, or is too old. */
export class NoSuchUploadError extends Error {
  override readonly name = "NoSuchUploadError";
}

/** R2 deletes so many objects in one call. */
export const MAX_DELETED_TOGETHER = 1000;

/** An object as R2 has it. */
export interface StoredObject {
  readonly digest: Digest;
  readonly uploadId: string;
  readonly uploadedMs: number;
}

/** The blobs of a store that are R2 objects, each under the key of its upload (`object-key.ts`). */
export class R2Objects implements ObjectReads {
  readonly #bucket: R2Bucket;
  readonly #store: string;

  constructor(bucket: R2Bucket, store: string) {
    this.#bucket = bucket;
    this.#store = store;
  }

  async get(digest: Digest, uploadId: string, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    const stretches = stretchesOf(toR2Range(range, digest));
    const [firstStretch] = stretches;
    const first = firstStretch && (await this.#getStretch(digest, uploadId, firstStretch));
    if (first === undefined || stretches.length === 1) return first;
    return joinStretches(first, stretches, async (stretch) => {
      const next = await this.#getStretch(digest, uploadId, stretch);
      if (next !== undefined) return next;
      throw unavailableError(`blob ${digestKey(digest)} went while it was read; try again`, RETRY_AFTER_MS);
    });
  }

  async #getStretch(
    digest: Digest,
    uploadId: string,
    stretch: Stretch,
  ): Promise<ReadableStream<Uint8Array> | undefined> {
    const key = this.#key(digest, uploadId);
    const options = stretch.length === digest.sizeBytes ? undefined : { range: { ...stretch } };
    const object = await this.#ask("get", digest, () => this.#bucket.get(key, options));
    if (object === null || object.size === digest.sizeBytes) return object?.body;
    log.error({ key, sizeBytes: object.size }, "an object has another size than its blob, and counts as gone");
    await object.body.cancel();
    return undefined;
  }

  /**
   * Stores an object whose bytes R2 itself verifies, where it knows the digest function (`verifies`).
   * @throws ConnectError INVALID_ARGUMENT if they don't have the digest; nothing is stored then.
   */
  async put(digest: Digest, uploadId: string, body: Uint8Array | ReadableStream<Uint8Array>): Promise<void> {
    const key = this.#key(digest, uploadId);
    const options = this.verifies(digest) ? { [digest.digestFunction.name]: digest.hash } : undefined;
    const put = () => this.#bucket.put(key, body, options);
    await (body instanceof ReadableStream ? this.#stream("put", digest, put) : this.#ask("put", digest, put));
  }

  /** Whether a put of this blob is verified by R2. The caller has to verify the others. */
  verifies({ digestFunction }: Digest): boolean {
    return R2_CHECKSUMS.has(digestFunction);
  }

  async delete(digest: Digest, uploadId: string): Promise<void> {
    await this.#ask("delete", digest, () => this.#bucket.delete(this.#key(digest, uploadId)));
  }

  /** Deletes up to `MAX_DELETED_TOGETHER` objects in one call. Those that are not there count as deleted. */
  async deleteMany(objects: readonly { readonly digest: Digest; readonly uploadId: string }[]): Promise<void> {
    const [first] = objects;
    if (first === undefined) return;
    const keys = objects.map(({ digest, uploadId }) => this.#key(digest, uploadId));
    await this.#ask("delete", first.digest, () => this.#bucket.delete(keys));
  }

  /** The object's size in bytes, or undefined if there is no such object. */
  async size(digest: Digest, uploadId: string): Promise<number | undefined> {
    return (await this.#ask("head", digest, () => this.#bucket.head(this.#key(digest, uploadId))))?.size;
  }

  /**
   * The objects of one digest function whose hashes come after one, in the order of their keys.
   * @param limit up to 1,000
   * @returns `truncated` if there are more; keys that Remex has not made are left out, and counted
   */
  async list(
    digestFunction: DigestFunction,
    afterHash: string,
    limit: number,
  ): Promise<{ readonly objects: readonly StoredObject[]; readonly foreign: number; readonly truncated: boolean }> {
    const prefix = `${objectKeyPrefix(this.#store)}${digestFunction.name}/`;
    // The character comes after all that may follow a hash in a key.
    const startAfter = afterHash === "" ? {} : { startAfter: `${prefix}${afterHash}~` };
    const listing = withinTime(this.#bucket.list({ prefix, limit, ...startAfter }), () => `R2 list of ${prefix}`);
    const { objects, truncated } = await listing.catch((error: unknown) => {
      if (error instanceof ConnectError) throw error;
      throw unavailableError(`R2 list of ${prefix} failed; try again`, RETRY_AFTER_MS, error);
    });
    const parsed = objects.flatMap(({ key, uploaded }) => {
      const named = parseObjectKey(this.#store, key);
      return named === undefined ? [] : [{ ...named, uploadedMs: uploaded.getTime() }];
    });
    return { objects: parsed, foreign: objects.length - parsed.length, truncated };
  }

  /** Begins a multipart upload. Returns R2's id for it. */
  async beginMultipart(digest: Digest, uploadId: string): Promise<string> {
    const key = this.#key(digest, uploadId);
    return (await this.#ask("createMultipartUpload", digest, () => this.#bucket.createMultipartUpload(key))).uploadId;
  }

  /** @throws NoSuchUploadError */
  async uploadPart(
    digest: Digest,
    uploadId: string,
    r2UploadId: string,
    partNumber: number,
    body: ReadableStream<Uint8Array>,
  ): Promise<R2UploadedPart> {
    const upload = this.#bucket.resumeMultipartUpload(this.#key(digest, uploadId), r2UploadId);
    return this.#stream("uploadPart", digest, () => upload.uploadPart(partNumber, body));
  }

  /**
   * Makes the parts one object.
   * @throws NoSuchUploadError
   */
  async completeMultipart(
    digest: Digest,
    uploadId: string,
    r2UploadId: string,
    parts: readonly R2UploadedPart[],
  ): Promise<void> {
    const upload = this.#bucket.resumeMultipartUpload(this.#key(digest, uploadId), r2UploadId);
    await this.#ask("completeMultipartUpload", digest, () => upload.complete([...parts]));
  }

  /** Drops a multipart upload and its parts. */
  async abortMultipart(digest: Digest, uploadId: string, r2UploadId: string): Promise<void> {
    const upload = this.#bucket.resumeMultipartUpload(this.#key(digest, uploadId), r2UploadId);
    await this.#ask("abortMultipartUpload", digest, () => upload.abort());
  }

  #key(digest: Digest, uploadId: string): string {
    return formatObjectKey(this.#store, digest, uploadId);
  }

  /** An operation that has all that it needs. */
  #ask<T>(operation: string, digest: Digest, call: () => Promise<T>): Promise<T> {
    return this.#stream(operation, digest, () =>
      withinTime(call(), () => `R2 ${operation} of blob ${digestKey(digest)}`),
    );
  }

  /** An operation that takes a stream: who feeds it sees to it that it goes on. */
  async #stream<T>(operation: string, digest: Digest, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      // What a stream's source threw comes out of the call that reads it. Type and range errors are bugs of ours.
      if (!(error instanceof Error) || error instanceof ConnectError || error instanceof SourceEndedError) throw error;
      if (error instanceof TypeError || error instanceof RangeError) throw error;
      if (error.message.endsWith(CHECKSUM_MISMATCH)) throw hashMismatch(digest);
      if (error.message.endsWith(NO_SUCH_UPLOAD)) throw new NoSuchUploadError(error.message, { cause: error });
      throw unavailableError(`R2 ${operation} of blob ${digestKey(digest)} failed; try again`, RETRY_AFTER_MS, error);
    }
  }
}

function toR2Range(range: BlobRange | undefined, { sizeBytes }: Digest): Stretch {
  const { offsetBytes, limitBytes = Infinity } = range ?? { offsetBytes: 0 };
  return { offset: offsetBytes, length: Math.min(limitBytes, sizeBytes - offsetBytes) };
}
