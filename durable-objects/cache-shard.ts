import { DurableObject } from "cloudflare:workers";
import { AlarmClock } from "./alarm-clock.ts";
import { AbandonedUploads } from "./cache-shard/abandoned-uploads.ts";
import { getActionResult, putActionResult, removeActionResult } from "./cache-shard/action-results.ts";
import {
  findByHash,
  findMissing,
  insertInline,
  insertObject,
  isObjectIndexed,
  lookUp,
  removeBlobs,
  touchOne,
} from "./cache-shard/blobs.ts";
import { DELETION_GRACE_MS, Deletions } from "./cache-shard/deletions.ts";
import { Eviction } from "./cache-shard/eviction.ts";
import { Identity } from "./cache-shard/identity.ts";
import { type LookupCounts, LookupCounters } from "./cache-shard/lookup-counters.ts";
import type {
  ActionResultLookupsRequest,
  BeginUploadRequest,
  BlobEntry,
  CondemnObjectsRequest,
  EndUploadRequest,
  FindByHashRequest,
  FindMissingRequest,
  ForgetObjectRequest,
  GetActionResultRequest,
  InsertInlineRequest,
  InsertObjectOutcome,
  InsertObjectRequest,
  LookUpRequest,
  ObjectRow,
  ObjectRowsRequest,
  PutActionResultRequest,
  RecordPartRequest,
  RemoveActionResultRequest,
  ShardIdentity,
  ShardReply,
  ShardRequest,
  ShardStanding,
  UploadPart,
  UploadRequest,
  UploadSession,
} from "./cache-shard/rpc.ts";
import { CACHE_SHARD_SCHEMA } from "./cache-shard/schema.ts";
import { migrate } from "./migrate.ts";
import { SavedCounters } from "./saved-counters.ts";
import { policyOf, type ShardPolicy } from "./cache-shard/policy.ts";
import { condemnObject, objectRows } from "./cache-shard/object-rows.ts";
import { Spilling } from "./cache-shard/spilling.ts";
import { Totals } from "./cache-shard/totals.ts";
import { Upkeep } from "./cache-shard/upkeep.ts";
import { parseSavedCounters, UpkeepCounters } from "./cache-shard/upkeep-counters.ts";
import {
  beginUpload,
  discardUpload,
  findUpload,
  forgetUpload,
  isCurrentUpload,
  recordPart,
} from "./cache-shard/uploads.ts";
import { R2Objects } from "../src/blob-store/r2-objects.ts";
import { servedConfig } from "../src/config/served-config.ts";
import type { Env } from "../src/env.ts";

/**
 * One shard of a store's index: which blobs exist, the bytes of the small ones, action results, and uploads that have
 * begun. Its name is `{store}/{shard index}`.
 *
 * Every method may be called again after an answer that was lost. The output gate holds each answer back until what it
 * acknowledges is durable.
 */
export class CacheShard extends DurableObject<Env> {
  readonly #identity: Identity;
  readonly #totals: Totals;
  readonly #lookups: LookupCounters;
  readonly #upkeepCounters: UpkeepCounters;
  readonly #savedCounters: SavedCounters;
  readonly #deletions: Deletions;
  readonly #abandonedUploads: AbandonedUploads;
  readonly #upkeep: Upkeep;
  readonly #alarm: AlarmClock;
  #knownPolicy: { readonly of: ShardIdentity; readonly policy: ShardPolicy | undefined } | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { storage } = ctx;
    migrate(storage, CACHE_SHARD_SCHEMA);
    this.#identity = new Identity(storage.sql);
    this.#totals = new Totals(storage);
    const { lookups, upkeep } = parseSavedCounters(SavedCounters.load(storage.sql));
    this.#lookups = new LookupCounters(lookups);
    this.#upkeepCounters = new UpkeepCounters(upkeep, () => {
      this.#savedCounters.changed();
    });
    this.#savedCounters = new SavedCounters(storage.sql, () => ({
      lookups: this.#lookups.snapshot(),
      upkeep: this.#upkeepCounters.snapshot(),
    }));

    const objects = () => new R2Objects(env.CAS, this.#store());
    const policy = () => this.#policy();
    this.#deletions = new Deletions(storage, objects, this.#upkeepCounters);
    const shared = {
      storage,
      objects,
      policy,
      totals: this.#totals,
      deletions: this.#deletions,
      counters: this.#upkeepCounters,
    };
    this.#abandonedUploads = new AbandonedUploads(shared);
    this.#upkeep = new Upkeep([this.#abandonedUploads, this.#deletions, new Eviction(shared), new Spilling(shared)]);
    this.#alarm = new AlarmClock(ctx, () => this.#upkeep.dueMs());
  }

  /** Does what is due by itself, and never fails: the platform drops an alarm after a few failures. */
  override async alarm(): Promise<void> {
    this.#alarm.rang();
    try {
      await this.#upkeep.run(Date.now());
    } finally {
      this.#alarm.set(this.#upkeep.dueMs());
    }
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
      for (const { digests, bytes } of batches) {
        this.#totals.add(insertInline(sql, digests, bytes, nowMs, touchIntervalMs));
      }
      return null;
    });
  }

  /**
   * Says that an R2 object holds a blob. One that is not to be used is put on the list of deletions.
   * @throws Error if the upload was given up, and the caller is of a version that doesn't know that answer.
   */
  insertObject({
    shard,
    digest,
    uploadId,
    touchIntervalMs,
    upload,
  }: InsertObjectRequest): ShardReply<InsertObjectOutcome> {
    const nowMs = Date.now();
    return this.#serve(shard, (sql) => {
      if (isObjectIndexed(sql, digest, uploadId)) return true;
      if (touchOne(sql, digest, nowMs, touchIntervalMs)) {
        if (upload !== undefined) forgetUpload(sql, upload, uploadId);
        this.#deletions.add({ digest, uploadId }, nowMs);
        return false;
      }
      const givenUp =
        this.#deletions.has(uploadId) || (upload !== undefined && !isCurrentUpload(sql, upload, uploadId));
      if (givenUp) {
        if (upload === undefined) throw new Error(`the upload ${uploadId} was given up`);
        return "given-up";
      }
      this.#totals.add(insertObject(sql, digest, uploadId, nowMs));
      if (upload !== undefined) forgetUpload(sql, upload, uploadId);
      return true;
    });
  }

  forgetObject({ shard, digest, uploadId }: ForgetObjectRequest): ShardReply<null> {
    return this.#serve(shard, (sql) => {
      if (!isObjectIndexed(sql, digest, uploadId)) return null;
      this.#totals.add(removeBlobs(sql, this.#deletions, [digest], Date.now() + DELETION_GRACE_MS));
      return null;
    });
  }

  /** What the index says of R2 objects, in the order of their hashes. */
  objectRows({ shard, digestFunction, afterHash, limit }: ObjectRowsRequest): ShardReply<ObjectRow[]> {
    return this.#serve(shard, (sql) => objectRows(sql, digestFunction, afterHash, limit));
  }

  /** The positions of those objects to which nothing refers. They are put on the list of deletions. */
  condemnObjects({ shard, objects, dryRun }: CondemnObjectsRequest): ShardReply<number[]> {
    const dueMs = Date.now() + DELETION_GRACE_MS;
    return this.#serve(shard, (sql) =>
      objects.flatMap(({ digest, uploadId }, position) =>
        condemnObject(sql, this.#deletions, digest, uploadId, dueMs, !dryRun) ? [position] : [],
      ),
    );
  }

  /** Counts what the shard holds anew. An earlier version that ran for a while may have changed it, and not its totals. */
  recount({ shard }: ShardRequest): ShardReply<null> {
    return this.#serve(shard, () => {
      this.#totals.recount();
      return null;
    });
  }

  /** The serialized ActionResult, or null. */
  getActionResult({
    shard,
    key,
    touchIntervalMs,
    invocationId,
  }: GetActionResultRequest): ShardReply<Uint8Array | null> {
    return this.#serve(shard, (sql) => {
      const bytes = getActionResult(sql, key, Date.now(), touchIntervalMs);
      this.#lookups.count(key.instance, bytes !== undefined, invocationId);
      this.#savedCounters.changed();
      return bytes ?? null;
    });
  }

  /** How many look-ups of an instance's action results found one, and how many didn't. */
  actionResultLookups({ shard, instance, invocationId }: ActionResultLookupsRequest): ShardReply<LookupCounts> {
    return this.#serve(shard, () => this.#lookups.of(instance, invocationId));
  }

  standing({ shard }: ShardRequest): ShardReply<ShardStanding> {
    return this.#serve(shard, () => ({
      amounts: this.#totals.now,
      counts: this.#upkeepCounters.snapshot(),
      deletions: this.#deletions.count,
    }));
  }

  putActionResult({ shard, key, bytes }: PutActionResultRequest): ShardReply<null> {
    return this.#serve(shard, (sql) => {
      this.#totals.add(putActionResult(sql, key, bytes, Date.now()));
      return null;
    });
  }

  removeActionResult({ shard, key, bytes }: RemoveActionResultRequest): ShardReply<null> {
    return this.#serve(shard, (sql) => {
      this.#totals.add(removeActionResult(sql, key, bytes));
      return null;
    });
  }

  findUpload({ shard, key }: UploadRequest): ShardReply<{ session: UploadSession; parts: UploadPart[] } | null> {
    return this.#serve(shard, (sql) => findUpload(sql, key) ?? null);
  }

  beginUpload({ shard, key, session }: BeginUploadRequest): ShardReply<null> {
    const nowMs = Date.now();
    return this.#serve(shard, (sql) => {
      beginUpload(sql, this.#deletions, key, session, nowMs);
      this.#abandonedUploads.began(nowMs);
      return null;
    });
  }

  /** False if the upload is not the present one under its key. */
  recordPart({ shard, key, uploadId, part }: RecordPartRequest): ShardReply<boolean> {
    return this.#serve(shard, (sql) => recordPart(sql, key, uploadId, part, Date.now()));
  }

  endUpload({ shard, key, uploadId }: EndUploadRequest): ShardReply<null> {
    return this.#serve(shard, (sql) => {
      const session = findUpload(sql, key)?.session;
      if (session?.uploadId === uploadId) discardUpload(sql, this.#deletions, key, session, Date.now());
      return null;
    });
  }

  #serve<T>(shard: ShardIdentity, method: (sql: SqlStorage) => T): ShardReply<T> {
    const recordedCount = this.#identity.shardCount(shard);
    if (recordedCount !== shard.count) return { ok: false, recordedCount };
    const value = this.#totals.transaction(() => method(this.ctx.storage.sql));
    this.#alarm.set(this.#upkeep.dueMs());
    return { ok: true, value };
  }

  /** The name of the store that this is a shard of. The object may not have one in an alarm. */
  #store(): string {
    const store = this.#identity.recorded?.store;
    if (store === undefined) throw new Error("the shard holds something, and nobody has ever called it");
    return store;
  }

  /** What the configuration asks for; undefined if the store is not in it (any more). */
  #policy(): ShardPolicy | undefined {
    const { recorded } = this.#identity;
    if (recorded === undefined || this.#knownPolicy?.of === recorded) return this.#knownPolicy?.policy;
    const config = servedConfig(this.env).stores.get(recorded.store);
    const policy = config && policyOf(config, recorded.count);
    this.#knownPolicy = { of: recorded, policy };
    return policy;
  }
}
