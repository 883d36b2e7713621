import { Code, ConnectError } from "@connectrpc/connect";
import type { CacheShard } from "../../durable-objects/cache-shard.ts";
import type { LookupCounts } from "../../durable-objects/cache-shard/lookup-counters.ts";
import type {
  ActionResultLookupsRequest,
  BlobEntry,
  DigestKey,
  DigestsJson,
  InsertObjectOutcome,
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
import { callObject, type ObjectNamespace } from "../objects/call-object.ts";
import { chunk, chunkBySize } from "../batching/chunk.ts";
import { shardName, shardOf } from "./shard-map.ts";

/** SQLite in an object takes parameters of up to 2 MB; 10,000 digests are up to 1.5 MB of JSON. */
const MAX_BATCH_DIGESTS = 10_000;
const MAX_BATCH_BYTES = 1 << 20;

export interface CacheShardsOptions {
  readonly store: string;
  readonly shards: number;
  readonly touchIntervalMs: number;
}

/** An upload as its client names it. */
export interface ClientUpload {
  readonly instance: string;
  readonly clientUploadId: string;
  readonly digest: Digest;
}

/**
 * A store's index: its CacheShard objects as one. Every method makes at most one call to each object, all at once, and
 * throws ConnectError UNAVAILABLE if one can't be reached, FAILED_PRECONDITION if the store has another number of shards
 * than the configuration says.
 */
export class CacheShards {
  readonly #namespace: ObjectNamespace<DurableObjectId, DurableObjectStub<CacheShard>>;
  readonly #options: CacheShardsOptions;

  constructor(namespace: ObjectNamespace<DurableObjectId, DurableObjectStub<CacheShard>>, options: CacheShardsOptions) {
    this.#namespace = namespace;
    this.#options = options;
  }

  /** Those of `digests` that are not stored, in order. */
  async findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    const missing = new Array<boolean>(digests.length).fill(false);
    await Promise.all(
      this.#byShard(digests, (digest) => digest).map(async ([index, members]) => {
        const chunks = chunk(members, MAX_BATCH_DIGESTS);
        const batches = chunks.map((members) => toJson(members.map(({ item }) => item)));
        const positions = await this.#call(index, (stub, shard) =>
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

  /** Where each blob is, or undefined where it is not stored, in order. */
  async lookUp(digests: readonly Digest[]): Promise<(BlobEntry | undefined)[]> {
    const entries = new Array<BlobEntry | undefined>(digests.length).fill(undefined);
    await Promise.all(
      this.#byShard(digests, (digest) => digest).map(async ([index, members]) => {
        const found = await this.#call(index, (stub, shard) =>
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
    const found = await this.#call(shardOf(hash, this.#options.shards), (stub, shard) =>
      stub.findByHash({ shard, digestFunction: digestFunction.value, hash, touchIntervalMs }),
    );
    return found ?? undefined;
  }

  /**
   * Stores blobs, which the caller has verified, with their bytes. A verdict for each, in order: undefined, or why its shard
   * could not be reached.
   */
  async insertInline(blobs: readonly { digest: Digest; bytes: Uint8Array }[]): Promise<(Error | undefined)[]> {
    const verdicts = new Array<Error | undefined>(blobs.length).fill(undefined);
    const { touchIntervalMs } = this.#options;
    await Promise.all(
      this.#byShard(blobs, ({ digest }) => digest).map(async ([index, members]) => {
        const batches = chunkBySize(members, ({ item }) => item.bytes.length, MAX_BATCH_BYTES).map((members) => ({
          digests: toJson(members.map(({ item }) => item.digest)),
          bytes: concatenate(members.map(({ item }) => item.bytes)),
        }));
        try {
          await this.#call(index, (stub, shard) => stub.insertInline({ shard, batches, touchIntervalMs }));
        } catch (error) {
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
    return this.#callFor(digest, (stub, shard) =>
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
    await this.#callFor(digest, (stub, shard) => stub.forgetObject({ shard, digest: toKey(digest), uploadId }));
  }

  /** The serialized ActionResult, or undefined. */
  async getActionResult(
    instance: string,
    actionDigest: Digest,
    invocationId?: string,
  ): Promise<Uint8Array | undefined> {
    const bytes = await this.#callFor(actionDigest, (stub, shard) =>
      stub.getActionResult({
        shard,
        key: { instance, digest: toKey(actionDigest) },
        touchIntervalMs: this.#options.touchIntervalMs,
        ...(invocationId !== undefined && { invocationId }),
      }),
    );
    return bytes ?? undefined;
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
    const indexes = Array.from({ length: this.#options.shards }, (_, index) => index);
    const counts = await Promise.all(
      indexes.map((index) => this.#call(index, (stub, shard) => stub.actionResultLookups({ shard, ...of }))),
    );
    return {
      found: counts.reduce((sum, { found }) => sum + found, 0),
      missing: counts.reduce((sum, { missing }) => sum + missing, 0),
    };
  }

  /** How each shard stands. */
  async standings(): Promise<ShardStanding[]> {
    const indexes = Array.from({ length: this.#options.shards }, (_, index) => index);
    return Promise.all(indexes.map((index) => this.#call(index, (stub, shard) => stub.standing({ shard }))));
  }

  /** Lets each shard count anew what it holds. */
  async recount(): Promise<void> {
    const indexes = Array.from({ length: this.#options.shards }, (_, index) => index);
    await Promise.all(indexes.map((index) => this.#call(index, (stub, shard) => stub.recount({ shard }))));
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
    const indexes = Array.from({ length: this.#options.shards }, (_, index) => index);
    const request = { digestFunction: digestFunction.value, afterHash, limit };
    const pages = await Promise.all(
      indexes.map((index) => this.#call(index, (stub, shard) => stub.objectRows({ shard, ...request }))),
    );
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
    const condemned = await Promise.all(
      this.#byShard(objects, ({ digest }) => digest).map(async ([index, members]) => {
        const keys = members.map(({ item }) => ({ digest: toKey(item.digest), uploadId: item.uploadId }));
        const positions = await this.#call(index, (stub, shard) =>
          stub.condemnObjects({ shard, objects: keys, dryRun }),
        );
        return members.flatMap(({ item }, position) => (positions.includes(position) ? [item] : []));
      }),
    );
    return condemned.flat();
  }

  async putActionResult(instance: string, actionDigest: Digest, bytes: Uint8Array): Promise<void> {
    await this.#callFor(actionDigest, (stub, shard) =>
      stub.putActionResult({ shard, key: { instance, digest: toKey(actionDigest) }, bytes }),
    );
  }

  /** Removes the result of an action; where `bytes` are given, only if it still is that one. */
  async removeActionResult(instance: string, actionDigest: Digest, bytes?: Uint8Array): Promise<void> {
    await this.#callFor(actionDigest, (stub, shard) =>
      stub.removeActionResult({ shard, key: { instance, digest: toKey(actionDigest) }, ...(bytes && { bytes }) }),
    );
  }

  /** The upload that has begun and not ended, with its parts in order. */
  async findUpload(upload: ClientUpload): Promise<{ session: UploadSession; parts: UploadPart[] } | undefined> {
    const found = await this.#callFor(upload.digest, (stub, shard) =>
      stub.findUpload({ shard, key: toUploadKey(upload) }),
    );
    return found ?? undefined;
  }

  /** Begins an upload, in place of the one that is there. */
  async beginUpload(upload: ClientUpload, session: UploadSession): Promise<void> {
    await this.#callFor(upload.digest, (stub, shard) => stub.beginUpload({ shard, key: toUploadKey(upload), session }));
  }

  /** Records a part that R2 has acknowledged. False if the upload has ended or was replaced. */
  async recordPart(upload: ClientUpload, uploadId: string, part: UploadPart): Promise<boolean> {
    return this.#callFor(upload.digest, (stub, shard) =>
      stub.recordPart({ shard, key: toUploadKey(upload), uploadId, part }),
    );
  }

  /** Ends an upload that came to nothing; the shard removes what R2 has of it. */
  async endUpload(upload: ClientUpload, uploadId: string): Promise<void> {
    await this.#callFor(upload.digest, (stub, shard) => stub.endUpload({ shard, key: toUploadKey(upload), uploadId }));
  }

  /** The items of each shard that has any, with their positions. */
  #byShard<T>(items: readonly T[], digestOf: (item: T) => Digest): [number, { item: T; position: number }[]][] {
    const shards = new Map<number, { item: T; position: number }[]>();
    items.forEach((item, position) => {
      const index = shardOf(digestOf(item).hash, this.#options.shards);
      const members = shards.get(index);
      if (members === undefined) shards.set(index, [{ item, position }]);
      else members.push({ item, position });
    });
    return [...shards];
  }

  #callFor<T>(
    digest: Digest,
    call: (stub: DurableObjectStub<CacheShard>, shard: ShardIdentity) => Promise<ShardReply<T>>,
  ): Promise<T> {
    return this.#call(shardOf(digest.hash, this.#options.shards), call);
  }

  async #call<T>(
    index: number,
    call: (stub: DurableObjectStub<CacheShard>, shard: ShardIdentity) => Promise<ShardReply<T>>,
  ): Promise<T> {
    const { store, shards: count } = this.#options;
    const reply = await callObject(this.#namespace, shardName(store, index), (stub) =>
      call(stub, { store, index, count }),
    );
    if (!reply.ok) {
      throw new ConnectError(
        `stores.${store}.shards is ${count} in the configuration, but the store was made with ${reply.recordedCount}; ` +
          `set it to ${reply.recordedCount}`,
        Code.FailedPrecondition,
      );
    }
    return reply.value;
  }
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
