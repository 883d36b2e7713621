import { DurableObject } from "cloudflare:workers";
import { AlarmClock } from "./alarm-clock.ts";
import { AbandonedUploads } from "./cache-shard/abandoned-uploads.ts";
import {
  getActionResult,
  putActionResult,
  receiveActionResult,
  removeActionResult,
} from "./cache-shard/action-results.ts";
import { askedByColumns, askedByJson } from "./cache-shard/asked-digests.ts";
import {
  findByHash,
  findMissing,
  insertInline,
  insertObject,
  isObjectIndexed,
  lookUp,
  receiveBlob,
  removeBlobs,
  touchOne,
} from "./cache-shard/blobs.ts";
import { DELETION_GRACE_MS, Deletions } from "./cache-shard/deletions.ts";
import { Eviction } from "./cache-shard/eviction.ts";
import { Identity, type RecordedIdentity } from "./cache-shard/identity.ts";
import { Moving } from "./cache-shard/moving.ts";
import type { PeerCall, Peers } from "./cache-shard/peers.ts";
import { ReshardCoordination } from "./cache-shard/reshard-coordination.ts";
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
  Layout,
  LookUpRequest,
  ObjectRow,
  ObjectRowsRequest,
  PutActionResultRequest,
  Received,
  ReceiveRequest,
  RecordPartRequest,
  RemoveActionResultRequest,
  ReshardRequest,
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
  receiveUpload,
  recordPart,
} from "./cache-shard/uploads.ts";
import { R2Objects } from "../src/blob-store/r2-objects.ts";
import { newLayout } from "../src/cache-shards/layout.ts";
import { shardName } from "../src/cache-shards/shard-map.ts";
import { servedConfig } from "../src/config/served-config.ts";
import { callObject } from "../src/objects/call-object.ts";
import { placedObjects } from "../src/objects/placed-objects.ts";
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
  #knownPolicy: { readonly of: RecordedIdentity; readonly policy: ShardPolicy | undefined } | undefined;

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
    const peers: Peers = { call: (recorded, index, call) => this.#callPeer(recorded, index, call) };
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
    this.#upkeep = new Upkeep([
      this.#abandonedUploads,
      this.#deletions,
      new Eviction(shared),
      new Spilling(shared),
      new Moving(shared, this.#identity, peers),
      new ReshardCoordination(this.#identity, peers),
    ]);
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

  /** The positions, batch by batch and then columns by columns, of the digests that are not stored. */
  findMissing({ shard, batches, columns = [], touchIntervalMs }: FindMissingRequest): ShardReply<number[][]> {
    const nowMs = Date.now();
    const asked = [...batches.map(askedByJson), ...columns.map(askedByColumns)];
    return this.#answer(shard, (sql) => asked.map((digests) => findMissing(sql, digests, nowMs, touchIntervalMs)));
  }

  /** Where each of the digests is, or undefined, in order. */
  lookUp({ shard, digests, touchIntervalMs }: LookUpRequest): ShardReply<(BlobEntry | undefined)[]> {
    return this.#answer(shard, (sql) => lookUp(sql, digests, Date.now(), touchIntervalMs));
  }

  /** The size of the stored blob with a hash, or null. */
  findByHash({ shard, digestFunction, hash, touchIntervalMs }: FindByHashRequest): ShardReply<number | null> {
    return this.#answer(shard, (sql) => findByHash(sql, digestFunction, hash, Date.now(), touchIntervalMs) ?? null);
  }

  insertInline({ shard, batches, touchIntervalMs }: InsertInlineRequest): ShardReply<null> {
    const nowMs = Date.now();
    return this.#change(shard, (sql) => {
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
    return this.#change(shard, (sql) => {
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
    return this.#change(shard, (sql) => {
      if (!isObjectIndexed(sql, digest, uploadId)) return null;
      this.#totals.add(removeBlobs(sql, this.#deletions, [digest], Date.now() + DELETION_GRACE_MS));
      return null;
    });
  }

  /** What the index says of R2 objects, in the order of their hashes. */
  objectRows({ shard, digestFunction, afterHash, limit }: ObjectRowsRequest): ShardReply<ObjectRow[]> {
    return this.#answer(shard, (sql) => objectRows(sql, digestFunction, afterHash, limit));
  }

  /** The positions of those objects to which nothing refers. They are put on the list of deletions. */
  condemnObjects({ shard, objects, dryRun }: CondemnObjectsRequest): ShardReply<number[]> {
    const dueMs = Date.now() + DELETION_GRACE_MS;
    return this.#change(shard, (sql) =>
      objects.flatMap(({ digest, uploadId }, position) =>
        condemnObject(sql, this.#deletions, digest, uploadId, dueMs, !dryRun) ? [position] : [],
      ),
    );
  }

  /** Counts what the shard holds anew. An earlier version that ran for a while may have changed it, and not its totals. */
  recount({ shard }: ShardRequest): ShardReply<null> {
    return this.#change(shard, () => {
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
    return this.#answer(shard, (sql) => {
      const bytes = getActionResult(sql, key, Date.now(), touchIntervalMs);
      this.#lookups.count(key.instance, bytes !== undefined, invocationId);
      this.#savedCounters.changed();
      return bytes ?? null;
    });
  }

  /** How many look-ups of an instance's action results found one, and how many didn't. */
  actionResultLookups({ shard, instance, invocationId }: ActionResultLookupsRequest): ShardReply<LookupCounts> {
    return this.#answer(shard, () => this.#lookups.of(instance, invocationId));
  }

  standing({ shard }: ShardRequest): ShardReply<ShardStanding> {
    return this.#answer(shard, () => ({
      amounts: this.#totals.now,
      counts: this.#upkeepCounters.snapshot(),
      deletions: this.#deletions.count,
      moved: this.#hasMoved(),
    }));
  }

  /** The store's layout. Shard 0 is the one that surely knows. */
  layout({ shard }: ShardRequest): ShardReply<Layout> {
    return this.#answer(shard, () => this.#identity.recorded?.layout ?? newLayout(shard.count));
  }

  /** Begins a change of the number of shards; to be asked of shard 0. If another is under way, the answer is its layout. */
  reshard({ shard, count }: ReshardRequest): ShardReply<Layout> {
    return this.#change(shard, () => this.#identity.beginChange(count));
  }

  /** Whether the shard has nothing any more that belongs elsewhere by the caller's layout, of which it hears by this. */
  hasMoved({ shard }: ShardRequest): ShardReply<boolean> {
    return this.#answer(shard, () => this.#hasMoved());
  }

  /** Takes what belongs here from another shard. Called again, it changes nothing. */
  receive({ shard, blobs, actionResults, uploads }: ReceiveRequest): ShardReply<Received> {
    return this.#change(shard, (sql) => {
      const surplus: string[] = [];
      for (const blob of blobs) {
        const received = receiveBlob(sql, this.#deletions, blob);
        this.#totals.add(received.change);
        if (received.surplus && "uploadId" in blob.entry) surplus.push(blob.entry.uploadId);
      }
      for (const result of actionResults) this.#totals.add(receiveActionResult(sql, result));
      for (const upload of uploads) {
        if (!receiveUpload(sql, upload)) surplus.push(upload.session.uploadId);
        this.#abandonedUploads.began(upload.beganMs);
      }
      return { surplus };
    });
  }

  putActionResult({ shard, ...put }: PutActionResultRequest): ShardReply<null> {
    return this.#change(shard, (sql) => {
      this.#totals.add(putActionResult(sql, put, Date.now()));
      return null;
    });
  }

  removeActionResult({ shard, key, bytes }: RemoveActionResultRequest): ShardReply<null> {
    return this.#change(shard, (sql) => {
      this.#totals.add(removeActionResult(sql, key, bytes));
      return null;
    });
  }

  findUpload({ shard, key }: UploadRequest): ShardReply<{ session: UploadSession; parts: UploadPart[] } | null> {
    return this.#answer(shard, (sql) => findUpload(sql, key) ?? null);
  }

  beginUpload({ shard, key, session }: BeginUploadRequest): ShardReply<null> {
    const nowMs = Date.now();
    return this.#change(shard, (sql) => {
      beginUpload(sql, this.#deletions, key, session, nowMs);
      this.#abandonedUploads.began(nowMs);
      return null;
    });
  }

  /** False if the upload is not the present one under its key. */
  recordPart({ shard, key, uploadId, part }: RecordPartRequest): ShardReply<boolean> {
    return this.#change(shard, (sql) => recordPart(sql, key, uploadId, part, Date.now()));
  }

  endUpload({ shard, key, uploadId }: EndUploadRequest): ShardReply<null> {
    return this.#change(shard, (sql) => {
      const session = findUpload(sql, key)?.session;
      if (session?.uploadId === uploadId) discardUpload(sql, this.#deletions, key, session, Date.now());
      return null;
    });
  }

  #hasMoved(): boolean {
    const { recorded } = this.#identity;
    return recorded !== undefined && recorded.movedEpoch === recorded.layout.epoch;
  }

  /** Calls another shard of the store. */
  async #callPeer<T>({ layout, store }: RecordedIdentity, index: number, call: PeerCall<T>): Promise<T> {
    const place = servedConfig(this.env).stores.get(store) ?? {};
    const shards = placedObjects(this.env, this.env.CACHE_SHARD, place);
    const identity = { store, index, count: layout.count, layout };
    const reply = await callObject(shards, shardName(store, index), (stub) => call(stub, identity));
    if (reply.ok) return reply.value;
    throw new Error(`shard ${index} goes by a later layout than epoch ${layout.epoch}`);
  }

  /** What only reads, or marks by one statement what it read as used, can't be left half done: it needs no transaction. */
  #answer<T>(shard: ShardIdentity, read: (sql: SqlStorage) => T): ShardReply<T> {
    const refusal = this.#identity.admit(shard);
    if (refusal !== undefined) return { ok: false, ...refusal };
    const value = read(this.ctx.storage.sql);
    this.#alarm.set(this.#upkeep.dueMs());
    return { ok: true, value };
  }

  #change<T>(shard: ShardIdentity, change: (sql: SqlStorage) => T): ShardReply<T> {
    return this.#answer(shard, (sql) => this.#totals.transaction(() => change(sql)));
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
    // While blobs move, two shards may name one object: none of them may be evicted.
    const isStable = recorded.layout.phase === "stable";
    const policy = config && isStable ? policyOf(config, recorded.layout.count) : undefined;
    this.#knownPolicy = { of: recorded, policy };
    return policy;
  }
}
