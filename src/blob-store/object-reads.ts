import type { Digest } from "../digest/digest.ts";
import type { BlobRange } from "./blob-store.ts";

/** Where the bytes of blobs that the index calls live are read. */
export interface ObjectReads {
  /** The object's bytes, or undefined if there is no such object. */
  get(digest: Digest, uploadId: string, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined>;
}
