import type { CacheShard } from "../../durable-objects/cache-shard.ts";
import type { LookupCounts } from "../../durable-objects/cache-shard/lookup-counters.ts";
import type {
  ActionResultLookupsRequest,
  BlobEntry,
  DigestKey,
  DigestsJson,
  FindMissingRequest,
  InsertObjectOutcome,
  Layout,
  ObjectRow,
  ShardIdentity,
  ShardReply,
  ShardStanding,
  UploadKey,
  UploadPart,
  UploadSession,
} from "../../durable-objects/cache-shard/rpc.ts";
import { concatenate } from "../bytes/concatenate.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import type { Digest } from "../digest/digest.ts";
import { toError } from "../errors/to-error.ts";
import { unavailableError } from "../errors/unavailable.ts";
import { callObject, type ObjectNamespace } from "../objects/call-object.ts";
import { chunk, chunkBySize } from "../batching/chunk.ts";
import type { DigestColumns } from "../digest/digest-columns.ts";
import { columnsByShard, columnsToJson } from "./columns-by-shard.ts";
import { knownLayout, learnLayout } from "./known-layouts.ts";
import { allShards, newLayout, shardsToRead, shardToWrite } from "./layout.ts";
import { shardName } from "./shard-map.ts";

/** SQLite in an object takes parameters of up to 2 MB; 10,000 digests are up to 1.5 MB of JSON. */
const MAX_BATCH_DIGESTS = 10_000;
const MAX_BATCH_BYTES = 1 << 20;

/** The epoch of a layout that only the configuration says; the shards' own begin with 1. */
const BY_CONFIGURATION = 0;

export interface CacheShardsOptions {
  readonly store: string;
  /** How many shards the store gets if it is new. */
  readonly shards: number;
  readonly touchIntervalMs: number;
}

/** An upload as its client names it. */
export interface ClientUpload {
  readonly instance: string;
  readonly clientUploadId: string;
  readonly digest: Digest;
}

type Stub = DurableObjectStub<CacheShard>;

/** A call of a method of a shard. */
type ShardCall<T> = (stub: Stub, shard: ShardIdentity) => Promise<ShardReply<T>>;

/** How often something is begun anew because the layout turned out to be another. */
const MAX_LAYOUTS = 5;

const RETRY_AFTER_MS = 1000;

/** A shard goes by another layout than we do. Never leaves this file. */
class LayoutChangedError extends Error {
  override readonly name = "LayoutChangedError";
}

/**
 * A store's index: its CacheShard objects as one. Every method makes at most one call to each object, all at once, or two
 * one after another while the number of shards changes; `lookUp` makes one for every 10,000 digests. It throws ConnectError UNAVAILABLE if one can't be reached.
 *
 * How many shards there are, the shards know (`Layout` in rpc.ts); the configuration says it for a new store only. Every
 * method may be begun anew when a shard says that the layout is another.
 */
export class CacheShards {
  readonly #namespace: ObjectNamespace<DurableObjectId, Stub>;
  readonly #options: CacheShardsOptions;

  constructor(namespace: ObjectNamespace<DurableObjectId, Stub>, options: CacheShardsOptions) {
    this.#namespace = namespace;
    this.#options = options;
  }

  /** Those of `digests` that are not stored, in order. */
  async findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    return this.#byLayout(async (layout) => {
      let missing = await this.#findMissingAt(layout, digests, (digest) => shardsToRead(layout, digest.hash)[0]);
      if (layout.phase !== "stable") {
        missing = await this.#findMissingAt(layout, missing, (digest) => shardsToRead(layout, digest.hash).at(-1) ?? 0);
      }
      return missing;
    });
  }

  async #findMissingAt(
    layout: Layout,
    digests: readonly Digest[],
    shardFor: (digest: Digest) => number,
  ): Promise<Digest[]> {
    const missing = new Array<boolean>(digests.length).fill(false);
    await Promise.all(
      byShard(digests, shardFor).map(async ([index, members]) => {
        const chunks = chunk(members, MAX_BATCH_DIGESTS);
        const batches = chunks.map((members) => toJson(members.map(({ item }) => item)));
        const positions = await this.#call(layout, index, (stub, shard) =>
          stub.findMissing({ shard, batches, touchIntervalMs: this.#options.touchIntervalMs }),
        );
        chunks.forEach((members, batch) => {
          for (const position of positions[batch] ?? []) {
            const member = members[position];
            if (member !== undefined) missing[member.position] = true;
          }
        });
      }),
    );
    return digests.filter((_, position) => missing[position]);
  }

  /** The same of so many that no object is made of any: a 1 for each that is not stored, in order, and a 0 for the others. */
  async findMissingColumns(digests: DigestColumns): Promise<Uint8Array> {
    return this.#byLayout(async (layout) => {
      const missing = new Uint8Array(digests.count).fill(1);
      await this.#findMissingColumnsAt(layout, digests, layout.from, missing);
      if (layout.phase !== "stable") await this.#findMissingColumnsAt(layout, digests, layout.count, missing);
      return missing;
    });
  }

  /** Looks for those that are `missing` by now in the shards that they have where there are so many. */
  async #findMissingColumnsAt(
    layout: Layout,
    digests: DigestColumns,
    shards: number,
    missing: Uint8Array,
  ): Promise<void> {
    await Promise.all(
      [...columnsByShard(digests, missing, shards, MAX_BATCH_DIGESTS)].map(async ([index, batches]) => {
        const { touchIntervalMs } = this.#options;
        const ask = (request: Pick<FindMissingRequest, "batches" | "columns">) =>
          this.#call(layout, index, (stub, shard) => stub.findMissing({ shard, ...request, touchIntervalMs }));
        let answers = await ask({ batches: [], columns: batches.map(({ request }) => request) });
        // A shard of a version that knows of no columns has passed over them.
        if (answers.length < batches.length) {
          answers = await ask({ batches: batches.map((batch) => columnsToJson(digests, batch)) });
        }
        batches.forEach(({ positions }, batch) => {
          for (const position of positions) missing[position] = 0;
          for (const member of answers[batch] ?? []) {
            const position = positions[member];
            if (position !== undefined) missing[position] = 1;
          }
        });
      }),
    );
  }

  /** Where each blob is, or undefined where it is not stored, in order. */
  async lookUp(digests: readonly Digest[]): Promise<(BlobEntry | undefined)[]> {
    return this.#byLayout(async (layout) => {
      const entries = await this.#lookUpAt(layout, digests, (digest) => shardsToRead(layout, digest.hash)[0]);
      if (layout.phase === "stable") return entries;
      const absent = digests.filter((_, position) => entries[position] === undefined);
      const found = await this.#lookUpAt(layout, absent, (digest) => shardsToRead(layout, digest.hash).at(-1) ?? 0);
      const rest = found.values();
      return entries.map((entry) => entry ?? rest.next().value);
    });
  }

  async #lookUpAt(
    layout: Layout,
    digests: readonly Digest[],
    shardFor: (digest: Digest) => number,
  ): Promise<(BlobEntry | undefined)[]> {
    const entries = new Array<BlobEntry | undefined>(digests.length).fill(undefined);
    await Promise.all(
      inBatches(byShard(digests, shardFor)).map(async ([index, members]) => {
        const found = await this.#call(layout, index, (stub, shard) =>
          stub.lookUp({
            shard,
            digests: toJson(members.map(({ item }) => item)),
            touchIntervalMs: this.#options.touchIntervalMs,
          }),
        );
        members.forEach(({ position }, i) => (entries[position] = found[i]));
      }),
    );
    return entries;
  }

  /** The size of the stored blob with a hash, or undefined. */
  async findByHash(digestFunction: DigestFunction, hash: string): Promise<number | undefined> {
    const { touchIntervalMs } = this.#options;
    return this.#read(hash, (stub, shard) =>
      stub.findByHash({ shard, digestFunction: digestFunction.value, hash, touchIntervalMs }),
    );
  }

  /**
   * Stores blobs, which the caller has verified, with their bytes. A verdict for each, in order: undefined, or why its shard
   * could not be reached.
   */
  async insertInline(blobs: readonly { digest: Digest; bytes: Uint8Array }[]): Promise<(Error | undefined)[]> {
    return this.#byLayout((layout) => this.#insertInlineAt(layout, blobs));
  }

  async #insertInlineAt(
    layout: Layout,
    blobs: readonly { digest: Digest; bytes: Uint8Array }[],
  ): Promise<(Error | undefined)[]> {
    const verdicts = new Array<Error | undefined>(blobs.length).fill(undefined);
    const { touchIntervalMs } = this.#options;
    await Promise.all(
      byShard(blobs, ({ digest }) => shardToWrite(layout, digest.hash)).map(async ([index, members]) => {
        const bySize = chunkBySize(members, ({ item }) => item.bytes.length, MAX_BATCH_BYTES);
        const batches = bySize
          .flatMap((members) => chunk(members, MAX_BATCH_DIGESTS))
          .map((members) => ({
            digests: toJson(members.map(({ item }) => item.digest)),
            bytes: concatenate(members.map(({ item }) => item.bytes)),
          }));
        try {
          await this.#call(layout, index, (stub, shard) => stub.insertInline({ shard, batches, touchIntervalMs }));
        } catch (error) {
          if (error instanceof LayoutChangedError) throw error;
          for (const { position } of members) verdicts[position] = toError(error);
        }
      }),
    );
    return verdicts;
  }

  /**
   * Says that a verified object holds a blob. An object that is not used then, the shard removes.
   * @param upload the one by which the object came, if it was begun by `beginUpload`; it ends
   */
  async insertObject(digest: Digest, uploadId: string, upload?: ClientUpload): Promise<InsertObjectOutcome> {
    return this.#write(digest.hash, (stub, shard) =>
      stub.insertObject({
        shard,
        digest: toKey(digest),
        uploadId,
        touchIntervalMs: this.#options.touchIntervalMs,
        upload: upload && toUploadKey(upload),
      }),
    );
  }

  /** Forgets a blob whose object turned out to be gone, unless another upload has stored it since. */
  async forgetObject(digest: Digest, uploadId: string): Promise<void> {
    await this.#everywhere(digest.hash, (stub, shard) => stub.forgetObject({ shard, digest: toKey(digest), uploadId }));
  }

  /** The serialized ActionResult, or undefined. */
  async getActionResult(
    instance: string,
    actionDigest: Digest,
    invocationId?: string,
  ): Promise<Uint8Array | undefined> {
    const found = await this.#everywhere(actionDigest.hash, (stub, shard) =>
      stub.getActionResult({
        shard,
        key: { instance, digest: toKey(actionDigest) },
        touchIntervalMs: this.#options.touchIntervalMs,
        ...(invocationId !== undefined && { invocationId }),
      }),
    );
    // One that was stored since the change began is the later one, and is in the later shard.
    return found.findLast((bytes) => bytes !== null) ?? undefined;
  }

  /** How many look-ups of an instance's action results found one, and how many didn't, in all shards. */
  actionResultLookups(instance: string): Promise<LookupCounts> {
    return this.#lookups({ instance });
  }

  /** The same of one build alone; only the last builds are remembered. */
  invocationLookups(instance: string, invocationId: string): Promise<LookupCounts> {
    return this.#lookups({ instance, invocationId });
  }

  async #lookups(of: Omit<ActionResultLookupsRequest, "shard">): Promise<LookupCounts> {
    const counts = await this.#all((stub, shard) => stub.actionResultLookups({ shard, ...of }));
    return {
      found: counts.reduce((sum, { found }) => sum + found, 0),
      missing: counts.reduce((sum, { missing }) => sum + missing, 0),
    };
  }

  /** How each shard stands. */
  async standings(): Promise<ShardStanding[]> {
    return this.#all((stub, shard) => stub.standing({ shard }));
  }

  /** Lets each shard count anew what it holds. */
  async recount(): Promise<void> {
    await this.#all((stub, shard) => stub.recount({ shard }));
  }

  /** The store's present layout. */
  async layout(): Promise<Layout> {
    return this.#byLayout((layout) => this.#call(layout, 0, (stub, shard) => stub.layout({ shard })));
  }

  /**
   * Begins a change to `count` shards; the shards see to the rest by themselves. Does nothing if the store has that many, or
   * the change is under way.
   * @returns the layout now; `count` is another if another change is under way
   */
  async reshard(count: number): Promise<Layout> {
    return this.#byLayout((layout) => this.#call(layout, 0, (stub, shard) => stub.reshard({ shard, count })));
  }

  /**
   * What the index says of the R2 objects of one digest function whose hashes come after one, in order.
   * @param limit how many each shard tells; `upToHash` is undefined if that is all
   */
  async objectRows(
    digestFunction: DigestFunction,
    afterHash: string,
    limit: number,
  ): Promise<{ readonly rows: readonly ObjectRow[]; readonly upToHash: string | undefined }> {
    const request = { digestFunction: digestFunction.value, afterHash, limit };
    const pages = await this.#all((stub, shard) => stub.objectRows({ shard, ...request }));
    const ends = pages.flatMap((page) => (page.length < limit ? [] : (page.at(-1)?.hash ?? [])));
    const upToHash = ends.sort().at(0);
    const rows = pages.flat().filter(({ hash }) => upToHash === undefined || hash <= upToHash);
    return { rows: rows.sort((a, b) => (a.hash < b.hash ? -1 : 1)), upToHash };
  }

  /** Those of the objects to which nothing refers; they are put on the list of deletions, if it is no dry run. */
  async condemnObjects<T extends { readonly digest: Digest; readonly uploadId: string }>(
    objects: readonly T[],
    dryRun: boolean,
  ): Promise<T[]> {
    return this.#byLayout(async (layout) => {
      const condemned = await Promise.all(
        byShard(objects, ({ digest }) => shardToWrite(layout, digest.hash)).map(async ([index, members]) => {
          const keys = members.map(({ item }) => ({ digest: toKey(item.digest), uploadId: item.uploadId }));
          const positions = await this.#call(layout, index, (stub, shard) =>
            stub.condemnObjects({ shard, objects: keys, dryRun }),
          );
          return members.flatMap(({ item }, position) => (positions.includes(position) ? [item] : []));
        }),
      );
      return condemned.flat();
    });
  }

  async putActionResult(instance: string, actionDigest: Digest, bytes: Uint8Array, priority = 0): Promise<void> {
    await this.#write(actionDigest.hash, (stub, shard) =>
      stub.putActionResult({ shard, key: { instance, digest: toKey(actionDigest) }, bytes, priority }),
    );
  }

  /** Removes the result of an action; where `bytes` are given, only if it still is that one. */
  async removeActionResult(instance: string, actionDigest: Digest, bytes?: Uint8Array): Promise<void> {
    await this.#everywhere(actionDigest.hash, (stub, shard) =>
      stub.removeActionResult({ shard, key: { instance, digest: toKey(actionDigest) }, ...(bytes && { bytes }) }),
    );
  }

  /** The upload that has begun and not ended, with its parts in order. */
  async findUpload(upload: ClientUpload): Promise<{ session: UploadSession; parts: UploadPart[] } | undefined> {
    const found = await this.#everywhere(upload.digest.hash, (stub, shard) =>
      stub.findUpload({ shard, key: toUploadKey(upload) }),
    );
    return found.findLast((upload) => upload !== null) ?? undefined;
  }

  /** Begins an upload, in place of the one that is there. */
  async beginUpload(upload: ClientUpload, session: UploadSession): Promise<void> {
    await this.#write(upload.digest.hash, (stub, shard) =>
      stub.beginUpload({ shard, key: toUploadKey(upload), session }),
    );
  }

  /** Records a part that R2 has acknowledged. False if the upload has ended or was replaced. */
  async recordPart(upload: ClientUpload, uploadId: string, part: UploadPart): Promise<boolean> {
    return this.#write(upload.digest.hash, (stub, shard) =>
      stub.recordPart({ shard, key: toUploadKey(upload), uploadId, part }),
    );
  }

  /** Ends an upload that came to nothing; the shard removes what R2 has of it. */
  async endUpload(upload: ClientUpload, uploadId: string): Promise<void> {
    await this.#write(upload.digest.hash, (stub, shard) =>
      stub.endUpload({ shard, key: toUploadKey(upload), uploadId }),
    );
  }

  /** What the first shard says that has something under a hash, or undefined. */
  async #read<T>(hash: string, call: ShardCall<T | null>): Promise<T | undefined> {
    return this.#byLayout(async (layout) => {
      for (const index of shardsToRead(layout, hash)) {
        const found = await this.#call(layout, index, call);
        if (found !== null) return found;
      }
      return undefined;
    });
  }

  /** What each shard says that may have something under a hash, one after the other, in the order of `shardsToRead`. */
  async #everywhere<T>(hash: string, call: ShardCall<T>): Promise<T[]> {
    return this.#byLayout(async (layout) => {
      const found: T[] = [];
      for (const index of shardsToRead(layout, hash)) found.push(await this.#call(layout, index, call));
      return found;
    });
  }

  async #write<T>(hash: string, call: ShardCall<T>): Promise<T> {
    return this.#byLayout((layout) => this.#call(layout, shardToWrite(layout, hash), call));
  }

  /** What every shard says, in order. */
  async #all<T>(call: ShardCall<T>): Promise<T[]> {
    return this.#byLayout((layout) => Promise.all(allShards(layout).map((index) => this.#call(layout, index, call))));
  }

  /** Does something by the layout that is known here, and anew if a shard says that it is another. */
  async #byLayout<T>(act: (layout: Layout) => Promise<T>): Promise<T> {
    const { shards, store } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const layout = knownLayout(store) ?? { ...newLayout(shards), epoch: BY_CONFIGURATION };
      try {
        return await act(layout);
      } catch (error) {
        if (!(error instanceof LayoutChangedError)) throw error;
        if (attempt < MAX_LAYOUTS) continue;
        throw unavailableError(`the shards of store ${store} are being changed; try again`, RETRY_AFTER_MS, error);
      }
    }
  }

  async #call<T>(layout: Layout, index: number, call: ShardCall<T>): Promise<T> {
    const { store } = this.#options;
    const identity = {
      store,
      count: layout.count,
      asksForLayout: true as const,
      ...(layout.epoch !== BY_CONFIGURATION && { layout }),
    };
    const reply = await callObject(this.#namespace, shardName(store, index), (stub) =>
      call(stub, { ...identity, index }),
    );
    if (reply.ok) return reply.value;
    learnLayout(store, reply.layout ?? (await this.#askFirstShard(layout, reply.recordedCount)));
    throw new LayoutChangedError(`shard ${index} of store ${store} goes by another layout`);
  }

  /** The layout, where the shard that was asked could not tell it. */
  async #askFirstShard({ count }: Layout, recordedCount: number): Promise<Layout> {
    const { store } = this.#options;
    // Of a version that knows of no changes: its layout is that of a new store of as many shards.
    if (recordedCount !== 0) return newLayout(recordedCount);
    const identity = { store, index: 0, count };
    const ask: ShardCall<Layout> = (stub, shard) => stub.layout({ shard });
    const reply = await callObject(this.#namespace, shardName(store, 0), (stub) => ask(stub, identity));
    return reply.ok ? reply.value : (reply.layout ?? newLayout(reply.recordedCount));
  }
}

/** The items of each shard that has any, with their positions. */
function byShard<T>(items: readonly T[], shardFor: (item: T) => number): [number, { item: T; position: number }[]][] {
  const shards = new Map<number, { item: T; position: number }[]>();
  items.forEach((item, position) => {
    const index = shardFor(item);
    const members = shards.get(index);
    if (members === undefined) shards.set(index, [{ item, position }]);
    else members.push({ item, position });
  });
  return [...shards];
}

/** The same, each at most as many as a statement takes. */
function inBatches<T>(shards: readonly (readonly [number, readonly T[]])[]): [number, T[]][] {
  return shards.flatMap(([index, members]) =>
    chunk(members, MAX_BATCH_DIGESTS).map((batch): [number, T[]] => [index, batch]),
  );
}

function toKey({ digestFunction, hash, sizeBytes }: Digest): DigestKey {
  return { digestFunction: digestFunction.value, hash, sizeBytes };
}

function toUploadKey({ instance, clientUploadId, digest }: ClientUpload): UploadKey {
  return { instance, clientUploadId, digest: toKey(digest) };
}

function toJson(digests: readonly Digest[]): DigestsJson {
  return JSON.stringify(digests.map(({ digestFunction, hash, sizeBytes }) => [digestFunction.value, hash, sizeBytes]));
}
