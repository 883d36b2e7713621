import { mapBounded } from "../../src/batching/map-bounded.ts";
import { shardOf } from "../../src/cache-shards/shard-map.ts";
import { actionResultBytes, removeActionResults } from "./action-results.ts";
import { dropMoved, inlineBytes } from "./blobs.ts";
import type { Chore, ChoreContext } from "./chore.ts";
import { DELETION_GRACE_MS } from "./deletions.ts";
import type { Identity, RecordedIdentity } from "./identity.ts";
import { actionResultPage, blobPage, type BlobRow } from "./index-pages.ts";
import type { Peers } from "./peers.ts";
import type { ActionResultKey, DigestKey, MovingActionResult, MovingBlob, ReceiveRequest } from "./rpc.ts";
import { discardUpload, forgetUpload, uploadPage } from "./uploads.ts";

const ROWS_PER_STEP = 500;

/** How much is under way to other shards at once; a single row is at most 2 MB. */
const BYTES_PER_STEP = 4 << 20;

const MAX_CALLS = 6;

/** Where a walk over all that the shard has has come to. Uploads come first: clients wait for them to be found. */
type Place =
  | { readonly at: "uploads" }
  | { readonly at: "blobs"; readonly after: DigestKey | undefined }
  | { readonly at: "action results"; readonly after: ActionResultKey | undefined };

type Freight = Omit<ReceiveRequest, "shard">;

const NOTHING: Freight = { blobs: [], actionResults: [], uploads: [] };

/**
 * Moves what belongs to other shards once a change of the number of shards is in its moving phase. Each row is in its new
 * shard before it is taken from this one, and everybody asks this one first: so it is found at any moment. Nothing is
 * evicted in that time, so that no shard can name an object that the other has deleted. Killed, it begins anew with what
 * is still there, and the new shard knows again what it has got.
 */
export class Moving implements Chore {
  readonly name = "moving";
  readonly #context: ChoreContext;
  readonly #identity: Identity;
  readonly #peers: Peers;
  #walk: { readonly epoch: number; readonly place: Place } | undefined;

  constructor(context: ChoreContext, identity: Identity, peers: Peers) {
    this.#context = context;
    this.#identity = identity;
    this.#peers = peers;
  }

  dueMs(): number {
    const { recorded } = this.#identity;
    return recorded?.layout.phase === "moving" && recorded.movedEpoch !== recorded.layout.epoch ? 0 : Infinity;
  }

  async step(nowMs: number): Promise<void> {
    const { recorded } = this.#identity;
    if (recorded === undefined) return;
    const { epoch } = recorded.layout;
    const place: Place = this.#walk?.epoch === epoch ? this.#walk.place : { at: "uploads" };
    const next = await this.#moveFrom(place, recorded, nowMs);
    if (next !== undefined) this.#walk = { epoch, place: next };
    else if (this.#identity.recorded?.layout.epoch === epoch) this.#identity.moved();
  }

  /** Moves a part, and returns where the next begins; undefined at the end. */
  async #moveFrom(place: Place, recorded: RecordedIdentity, nowMs: number): Promise<Place | undefined> {
    const { sql } = this.#context.storage;
    switch (place.at) {
      case "uploads": {
        const uploads = uploadPage(sql, (hash) => !belongsHere(recorded, hash), ROWS_PER_STEP);
        await this.#ship(recorded, uploads, ({ key }) => key.digest.hash, "uploads", nowMs);
        return uploads.length === 0 ? { at: "blobs", after: undefined } : place;
      }
      case "blobs": {
        const rows = bounded(blobPage(sql, place.after, ROWS_PER_STEP), (row) =>
          row.bytesId === null ? 0 : row.key.sizeBytes,
        );
        const blobs = rows.flatMap((row) => (belongsHere(recorded, row.key.hash) ? [] : this.#movingBlob(row)));
        await this.#ship(recorded, blobs, ({ digest }) => digest.hash, "blobs", nowMs);
        const after = rows.at(-1)?.key;
        return after === undefined ? { at: "action results", after } : { at: "blobs", after };
      }
      case "action results": {
        const rows = bounded(actionResultPage(sql, place.after, ROWS_PER_STEP), ({ sizeBytes }) => sizeBytes);
        const results = rows.flatMap(({ key, lastAccessMs, priority }): MovingActionResult[] => {
          if (belongsHere(recorded, key.digest.hash)) return [];
          const bytes = actionResultBytes(sql, key);
          return bytes === undefined ? [] : [{ key, lastAccessMs, bytes, priority }];
        });
        await this.#ship(recorded, results, ({ key }) => key.digest.hash, "actionResults", nowMs);
        const after = rows.at(-1)?.key;
        return after && { at: "action results", after };
      }
    }
  }

  #movingBlob({ bytesId, key, lastAccessMs, uploadId }: BlobRow): MovingBlob[] {
    if (uploadId !== null) return [{ digest: key, lastAccessMs, entry: { uploadId } }];
    const bytes = bytesId === null ? undefined : inlineBytes(this.#context.storage.sql, key, bytesId);
    return bytes === undefined ? [] : [{ digest: key, lastAccessMs, entry: { bytes } }];
  }

  /** Gives each item to its new shard, and takes those from this one that the other has acknowledged. */
  async #ship<K extends keyof Freight>(
    recorded: RecordedIdentity,
    items: Freight[K],
    hashOf: (item: Freight[K][number]) => string,
    kind: K,
    nowMs: number,
  ): Promise<void> {
    const byShard = new Map<number, Freight[K][number][]>();
    for (const item of items) {
      const index = shardOf(hashOf(item), recorded.layout.count);
      byShard.set(index, [...(byShard.get(index) ?? []), item]);
    }
    await mapBounded([...byShard], MAX_CALLS, async ([index, members]) => {
      const freight: Freight = { ...NOTHING, [kind]: members };
      const { surplus } = await this.#peers.call(recorded, index, (stub, shard) => stub.receive({ shard, ...freight }));
      const gone = this.#context.totals.transaction(() => this.#drop(freight, new Set(surplus), nowMs));
      // What was found to be gone from R2 while it was under way is not to come back to life there.
      for (const { digest, uploadId } of gone) {
        await this.#peers.call(recorded, index, (stub, shard) => stub.forgetObject({ shard, digest, uploadId }));
      }
    });
  }

  /** @returns the objects that were no longer in this shard's index */
  #drop(
    { actionResults, blobs, uploads }: Freight,
    surplus: ReadonlySet<string>,
    nowMs: number,
  ): { readonly digest: DigestKey; readonly uploadId: string }[] {
    const { deletions, storage, totals } = this.#context;
    const { sql } = storage;
    const gone: { readonly digest: DigestKey; readonly uploadId: string }[] = [];
    for (const { digest, entry } of blobs) {
      const change = dropMoved(sql, digest, entry);
      if (change !== undefined) totals.add(change);
      if (!("uploadId" in entry)) continue;
      const { uploadId } = entry;
      if (change === undefined) gone.push({ digest, uploadId });
      else if (surplus.has(uploadId)) deletions.add({ digest, uploadId }, nowMs + DELETION_GRACE_MS);
    }
    totals.add(
      removeActionResults(
        sql,
        actionResults.map(({ key }) => key),
      ),
    );
    for (const { key, session } of uploads) {
      if (surplus.has(session.uploadId)) discardUpload(sql, deletions, key, session, nowMs);
      else forgetUpload(sql, key, session.uploadId);
    }
    return gone;
  }
}

function belongsHere({ index, layout }: RecordedIdentity, hash: string): boolean {
  return shardOf(hash, layout.count) === index;
}

/** As many of the first rows as may be under way at once, at least one. */
function bounded<T>(rows: readonly T[], bytesOf: (row: T) => number): readonly T[] {
  let bytes = 0;
  const end = rows.findIndex((row, position) => (bytes += bytesOf(row)) > BYTES_PER_STEP && position > 0);
  return end === -1 ? rows : rows.slice(0, end);
}
