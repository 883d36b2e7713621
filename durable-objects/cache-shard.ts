import { DurableObject } from "cloudflare:workers";
import { getActionResult, putActionResult, removeActionResult } from "./cache-shard/action-results.ts";
import { findByHash, findMissing, forgetObject, insertInline, insertObject, lookUp } from "./cache-shard/blobs.ts";
import { recordedShardCount } from "./cache-shard/identity.ts";
import { type LookupCounts, LookupCounters } from "./cache-shard/lookup-counters.ts";
import type {
  ActionResultLookupsRequest,
  BeginUploadRequest,
  BlobEntry,
  EndUploadRequest,
  FindByHashRequest,
  FindMissingRequest,
  ForgetObjectRequest,
  GetActionResultRequest,
  InsertInlineRequest,
  InsertObjectRequest,
  LookUpRequest,
  PutActionResultRequest,
  RecordPartRequest,
  RemoveActionResultRequest,
  ShardIdentity,
  ShardReply,
  UploadPart,
  UploadRequest,
  UploadSession,
} from "./cache-shard/rpc.ts";
import { CACHE_SHARD_SCHEMA } from "./cache-shard/schema.ts";
import { migrate } from "./migrate.ts";
import { SavedCounters } from "./saved-counters.ts";
import { beginUpload, endUpload, findUpload, recordPart } from "./cache-shard/uploads.ts";

/**
 * One shard of a store's index: which blobs exist, the bytes of the small ones, action results, and uploads that have
 * begun. Its name is `{store}/{shard index}`.
 *
 * Every method may be called again after an answer that was lost. The output gate holds each answer back until what it
 * acknowledges is durable.
 */
export class CacheShard extends DurableObject<object> {
  readonly #lookups: LookupCounters;
  readonly #savedLookups: SavedCounters;
  #recordedCount: number | undefined;

  constructor(ctx: DurableObjectState, env: object) {
    super(ctx, env);
    migrate(ctx.storage, CACHE_SHARD_SCHEMA);
    this.#lookups = new LookupCounters(SavedCounters.load(ctx.storage.sql));
    this.#savedLookups = new SavedCounters(ctx.storage.sql, () => this.#lookups.snapshot());
  }

  /** The positions, batch by batch, of the digests that are not stored. */
  findMissing({ shard, batches, touchIntervalMs }: FindMissingRequest): ShardReply<number[][]> {
    const nowMs = Date.now();
    return this.#serve(shard, (sql) => batches.map((digests) => findMissing(sql, digests, nowMs, touchIntervalMs)));
  }

  /** Where each of the digests is, or undefined, in order. */
  lookUp({ shard, digests, touchIntervalMs }: LookUpRequest): ShardReply<(BlobEntry | undefined)[]> {
    return this.#serve(shard, (sql) => lookUp(sql, digests, Date.now(), touchIntervalMs));
  }

  /** The size of the stored blob with a hash, or null. */
  findByHash({ shard, digestFunction, hash, touchIntervalMs }: FindByHashRequest): ShardReply<number | null> {
    return this.#serve(shard, (sql) => findByHash(sql, digestFunction, hash, Date.now(), touchIntervalMs) ?? null);
  }

  insertInline({ shard, batches, touchIntervalMs }: InsertInlineRequest): ShardReply<null> {
    const nowMs = Date.now();
    return this.#serve(shard, (sql) => {
      for (const { digests, bytes } of batches) insertInline(sql, digests, bytes, nowMs, touchIntervalMs);
      return null;
    });
  }

  /** Whether the blob is now that of `uploadId`; if not, it was stored before, and the object is not needed. */
  insertObject({ shard, digest, uploadId, touchIntervalMs }: InsertObjectRequest): ShardReply<boolean> {
    return this.#serve(shard, (sql) => insertObject(sql, digest, uploadId, Date.now(), touchIntervalMs));
  }

  forgetObject({ shard, digest, uploadId }: ForgetObjectRequest): ShardReply<null> {
    return this.#serve(shard, (sql) => {
      forgetObject(sql, digest, uploadId);
      return null;
    });
  }

  /** The serialized ActionResult, or null. */
  getActionResult({ shard, key, touchIntervalMs }: GetActionResultRequest): ShardReply<Uint8Array | null> {
    return this.#serve(shard, (sql) => {
      const bytes = getActionResult(sql, key, Date.now(), touchIntervalMs);
      this.#lookups.count(key.instance, bytes !== undefined);
      this.#savedLookups.changed();
      return bytes ?? null;
    });
  }

  /** How many look-ups of an instance's action results found one, and how many didn't. */
  actionResultLookups({ shard, instance }: ActionResultLookupsRequest): ShardReply<LookupCounts> {
    return this.#serve(shard, () => this.#lookups.of(instance));
  }

  putActionResult({ shard, key, bytes }: PutActionResultRequest): ShardReply<null> {
    return this.#serve(shard, (sql) => {
      putActionResult(sql, key, bytes, Date.now());
      return null;
    });
  }

  removeActionResult({ shard, key, bytes }: RemoveActionResultRequest): ShardReply<null> {
    return this.#serve(shard, (sql) => {
      removeActionResult(sql, key, bytes);
      return null;
    });
  }

  findUpload({ shard, key }: UploadRequest): ShardReply<{ session: UploadSession; parts: UploadPart[] } | null> {
    return this.#serve(shard, (sql) => findUpload(sql, key) ?? null);
  }

  /** The upload that this one replaces, or null. */
  beginUpload({ shard, key, session }: BeginUploadRequest): ShardReply<UploadSession | null> {
    return this.#serve(shard, (sql) => beginUpload(sql, key, session, Date.now()) ?? null);
  }

  /** False if the upload is not the present one under its key. */
  recordPart({ shard, key, uploadId, part }: RecordPartRequest): ShardReply<boolean> {
    return this.#serve(shard, (sql) => recordPart(sql, key, uploadId, part));
  }

  endUpload({ shard, key, uploadId }: EndUploadRequest): ShardReply<null> {
    return this.#serve(shard, (sql) => {
      endUpload(sql, key, uploadId);
      return null;
    });
  }

  #serve<T>(shard: ShardIdentity, method: (sql: SqlStorage) => T): ShardReply<T> {
    const { storage } = this.ctx;
    this.#recordedCount ??= recordedShardCount(storage.sql, shard);
    if (this.#recordedCount !== shard.count) return { ok: false, recordedCount: this.#recordedCount };
    return { ok: true, value: storage.transactionSync(() => method(storage.sql)) };
  }
}
