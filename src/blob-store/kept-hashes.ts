import type { UploadPart } from "../../durable-objects/cache-shard/rpc.ts";
import type { RunningHash } from "../digest/verify.ts";

/** How many are kept; each takes a few KiB at most. */
const MAX_HASHES = 256;

interface KeptHash {
  readonly hash: RunningHash;
  /** What it has seen: these, from the blob's beginning, and nothing else. */
  readonly parts: readonly UploadPart[];
}

/**
 * How far uploads have been hashed whose request has ended between two parts, in the memory of an isolate: for the request
 * that goes on with such an upload, which mostly comes to the same isolate and at once. Where it doesn't, the stored object
 * is read back instead.
 */
export class KeptHashes {
  /** By upload, the ones kept last at the end. */
  readonly #kept = new Map<string, KeptHash>();

  /** Keeps a hash that has seen just these parts. It may be updated no more but by who takes it. */
  keep(uploadId: string, parts: readonly UploadPart[], hash: RunningHash): void {
    this.#kept.delete(uploadId);
    this.#kept.set(uploadId, { hash, parts: [...parts] });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_HASHES) break;
      this.#kept.delete(oldest);
    }
  }

  /** The hash of an upload that has these very parts, for one taker; undefined if there is none. */
  take(uploadId: string, parts: readonly UploadPart[]): RunningHash | undefined {
    const kept = this.#kept.get(uploadId);
    this.#kept.delete(uploadId);
    return kept !== undefined && areSame(kept.parts, parts) ? kept.hash : undefined;
  }
}

/** R2 gives each upload of a part an etag of its own, or that of its bytes. */
function areSame(some: readonly UploadPart[], others: readonly UploadPart[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ partNumber, etag }, i) => partNumber === others[i]?.partNumber && etag === others[i].etag)
  );
}
