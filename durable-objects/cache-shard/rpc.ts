import type { Amounts } from "./totals.ts";
import type { UpkeepCounts } from "./upkeep-counters.ts";

/**
 * What Workers and CacheShard objects say to each other. A deploy reaches the two at different times, so fields are only
 * ever added, and a new one is optional.
 */

/** Which object the Worker means to talk to; the object answers only if it is that one. */
export interface ShardIdentity {
  readonly store: string;
  /** 0 … `count` - 1. */
  readonly index: number;
  /** How many shards the store has by the Worker's configuration. */
  readonly count: number;
}

export interface ActionResultLookupsRequest {
  readonly shard: ShardIdentity;
  readonly instance: string;
  /** Only those of this build: see GetActionResultRequest. */
  readonly invocationId?: string;
}

/**
 * Every method's answer. `ok: false` means that nothing was done, because the store was made with `recordedCount`
 * shards: under another number, blobs would be looked for where they are not.
 */
export type ShardReply<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly recordedCount: number };

/**
 * Digests as the JSON text that becomes the one parameter of a statement: `[[digest function, hash, size], …]`, with
 * REAPI's number for the function, the hash in hex and the size in bytes. Made once, in the Worker.
 */
export type DigestsJson = string;

/** A request that needs nothing but the shard. */
export interface ShardRequest {
  readonly shard: ShardIdentity;
}

/** How a shard stands. */
export interface ShardStanding {
  /** What it holds. */
  readonly amounts: Amounts;
  /** What it has done by itself. */
  readonly counts: UpkeepCounts;
  /** How many R2 objects wait to be deleted. */
  readonly deletions: number;
}

/** One digest, in the terms of `DigestsJson`. */
export interface DigestKey {
  readonly digestFunction: number;
  readonly hash: string;
  readonly sizeBytes: number;
}

/** A blob that is an R2 object, of a digest function that is known. */
export interface ObjectRow {
  readonly hash: string;
  readonly sizeBytes: number;
  readonly uploadId: string;
}

export interface ObjectRowsRequest extends ShardRequest {
  readonly digestFunction: number;
  /** Hex; "" for the first. */
  readonly afterHash: string;
  readonly limit: number;
}

export interface CondemnObjectsRequest extends ShardRequest {
  readonly objects: readonly { readonly digest: DigestKey; readonly uploadId: string }[];
  /** Look only. */
  readonly dryRun: boolean;
}

export interface FindMissingRequest {
  readonly shard: ShardIdentity;
  readonly batches: readonly DigestsJson[];
  /** A blob's last access is written again only when it is older than this. */
  readonly touchIntervalMs: number;
}

/** Where a blob is. */
export type BlobEntry =
  | { readonly bytes: Uint8Array }
  /** The R2 object of this upload holds it. */
  | { readonly uploadId: string };

export interface LookUpRequest {
  readonly shard: ShardIdentity;
  readonly digests: DigestsJson;
  readonly touchIntervalMs: number;
}

export interface FindByHashRequest {
  readonly shard: ShardIdentity;
  readonly digestFunction: number;
  readonly hash: string;
  readonly touchIntervalMs: number;
}

export interface InsertInlineRequest {
  readonly shard: ShardIdentity;
  /** Batches of at most 1 MiB: the blobs' bytes one after another, in the order of `digests`. */
  readonly batches: readonly { readonly digests: DigestsJson; readonly bytes: Uint8Array }[];
  readonly touchIntervalMs: number;
}

export interface InsertObjectRequest {
  readonly shard: ShardIdentity;
  readonly digest: DigestKey;
  readonly uploadId: string;
  readonly touchIntervalMs: number;
  /** The upload that `beginUpload` was told of, if the object came by one; it ends then. */
  readonly upload?: UploadKey | undefined;
}

/**
 * What became of an object that was to be indexed: it is the blob; or the blob was stored before, and the object is
 * removed by the shard; or the upload had been given up, and nothing is stored.
 */
export type InsertObjectOutcome = boolean | "given-up";

export interface ForgetObjectRequest {
  readonly shard: ShardIdentity;
  readonly digest: DigestKey;
  readonly uploadId: string;
}

/** Names the result of an action. A size of 0 stands for one that is not known. */
export interface ActionResultKey {
  readonly instance: string;
  readonly digest: DigestKey;
}

export interface GetActionResultRequest {
  readonly shard: ShardIdentity;
  readonly key: ActionResultKey;
  readonly touchIntervalMs: number;
  /** RequestMetadata.tool_invocation_id of the build that asks. */
  readonly invocationId?: string;
}

export interface PutActionResultRequest {
  readonly shard: ShardIdentity;
  readonly key: ActionResultKey;
  /** A serialized ActionResult. */
  readonly bytes: Uint8Array;
}

export interface RemoveActionResultRequest {
  readonly shard: ShardIdentity;
  readonly key: ActionResultKey;
  /** Where given, the result is removed only if it is this one. */
  readonly bytes?: Uint8Array;
}

/** A resumable upload, as its client names it. */
export interface UploadKey {
  readonly instance: string;
  /** The `{uuid}` of the ByteStream resource name. */
  readonly clientUploadId: string;
  readonly digest: DigestKey;
}

/** A resumable upload, as R2 knows it. */
export interface UploadSession {
  /** Names the R2 object. */
  readonly uploadId: string;
  readonly r2UploadId: string;
  /** Every part but the last has this size. */
  readonly partSizeBytes: number;
}

export interface UploadPart {
  /** From 1 on. */
  readonly partNumber: number;
  readonly etag: string;
}

export interface UploadRequest {
  readonly shard: ShardIdentity;
  readonly key: UploadKey;
}

export interface BeginUploadRequest extends UploadRequest {
  readonly session: UploadSession;
}

export interface RecordPartRequest extends UploadRequest {
  readonly uploadId: string;
  readonly part: UploadPart;
}

export interface EndUploadRequest extends UploadRequest {
  readonly uploadId: string;
}
