import type { Amounts } from "./amounts.ts";
import type { UpkeepCounts } from "./upkeep-counters.ts";

/**
 * What Workers and CacheShard objects say to each other. A deploy reaches the two at different times, so fields are only
 * ever added, and a new one is optional.
 */

/**
 * How a store's hashes are spread over shards. Shard 0 decides on each change; every call says which layout its caller goes
 * by, and a shard serves it only if that is its own, so that nobody looks for a blob where it is not.
 */
export interface Layout {
  /** Higher for each layout that comes after another. */
  readonly epoch: number;
  /**
   * - stable: hashes are spread over `count` shards;
   * - preparing: everybody learns to look in the shards of both numbers, and still writes to those of `from`;
   * - moving: everybody writes to those of `count`, and what is in others is moved there.
   */
  readonly phase: "stable" | "preparing" | "moving";
  readonly count: number;
  /** The number before the change that is under way; `count` if there is none. */
  readonly from: number;
}

/** Which object the caller means to talk to; the object answers only if it is that one. */
export interface ShardIdentity {
  readonly store: string;
  readonly index: number;
  /** How many shards the store has, by the layout or, without one, by the configuration. */
  readonly count: number;
  /** The layout that the caller knows; without it, it goes by the configuration. */
  readonly layout?: Layout;
  /** The caller understands an answer that asks for a layout. Workers from before stores had layouts don't. */
  readonly asksForLayout?: true;
}

export interface ActionResultLookupsRequest {
  readonly shard: ShardIdentity;
  readonly instance: string;
  /** Only those of this build: see GetActionResultRequest. */
  readonly invocationId?: string;
}

/**
 * Every method's answer. `ok: false` means that nothing was done, because the store has another layout than the caller
 * goes by. Without `layout` the shard has never heard of any (then `recordedCount` is 0, and shard 0 is to be asked), or it
 * is of a version that knows of no changes.
 */
export type ShardReply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly recordedCount: number; readonly layout?: Layout };

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
  /** Whether it has moved all that belongs elsewhere in the change that is under way. */
  readonly moved?: boolean;
}

export interface ReshardRequest extends ShardRequest {
  /** How many shards the store is to have. */
  readonly count: number;
}

/** A blob that moves to another shard. */
export interface MovingBlob {
  readonly digest: DigestKey;
  readonly lastAccessMs: number;
  readonly entry: BlobEntry;
}

export interface MovingActionResult {
  readonly key: ActionResultKey;
  readonly lastAccessMs: number;
  /** As in PutActionResultRequest. */
  readonly priority?: number;
  readonly bytes: Uint8Array;
}

export interface MovingUpload {
  readonly key: UploadKey;
  readonly session: UploadSession;
  readonly beganMs: number;
  readonly parts: readonly (UploadPart & { readonly storedMs: number })[];
}

export interface ReceiveRequest extends ShardRequest {
  readonly blobs: readonly MovingBlob[];
  readonly actionResults: readonly MovingActionResult[];
  readonly uploads: readonly MovingUpload[];
}

/** The upload ids of those objects and uploads that are of no use, since the shard has others in their place. */
export interface Received {
  readonly surplus: readonly string[];
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

/**
 * Digests of one function as the parameters of a statement: at half of the bytes of `DigestsJson`, and read in less than half
 * of the time.
 */
export interface DigestColumnsRequest {
  readonly digestFunction: number;
  /** Of one hash. */
  readonly hashBytes: number;
  /** One right after the other. */
  readonly hashes: Uint8Array;
  /** `[size in bytes, …]`, in the same order. */
  readonly sizesJson: string;
}

export interface FindMissingRequest {
  readonly shard: ShardIdentity;
  readonly batches: readonly DigestsJson[];
  /** What is missing of these is answered behind what is of `batches`. A shard of a version before answers nothing there. */
  readonly columns?: readonly DigestColumnsRequest[];
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
  /** ResultsCachePolicy.priority; 0 if it is left out. */
  readonly priority?: number;
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
