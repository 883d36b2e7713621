import { mapBounded } from "../batching/map-bounded.ts";
import { formatObjectKey } from "../blob-store/object-key.ts";
import type { R2Objects, StoredObject } from "../blob-store/r2-objects.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import { DIGEST_FUNCTIONS, SHA256, type DigestFunction } from "../digest/digest-function.ts";
import { digestKey, parseDigest, type Digest } from "../digest/digest.ts";

/** A request has six connections. */
const MAX_R2_OPERATIONS = 6;

export interface CheckOptions {
  readonly store: string;
  /** Only say what is wrong. */
  readonly dryRun: boolean;
  /** How many objects, and how many rows of each shard, are read at once; R2 lists up to 1,000. */
  readonly partSize: number;
  /** An object that came later is not judged: it may not be indexed yet. */
  readonly uploadedBeforeMs: number;
}

/** How far a check has come: all up to a hash of one digest function. */
export interface CheckPlace {
  readonly digestFunction: DigestFunction;
  /** Hex; "" at the beginning. */
  readonly afterHash: string;
}

/** What a part of a check has found, and put right if it was no dry run. */
export interface CheckedPart {
  /** Objects in R2. */
  readonly objects: number;
  /** Blobs in the index that are R2 objects. */
  readonly indexed: number;
  /** Blobs, as `{function}/{hash}/{size}`, whose objects are gone. They are removed from the index. */
  readonly missing: readonly string[];
  /** Keys of objects to which nothing refers. They are put on the list of deletions. */
  readonly unused: readonly string[];
  /** How many objects had come too late to be judged. */
  readonly young: number;
  /** How many keys are none that Remex makes. They stay. */
  readonly foreign: number;
  /** Undefined at the end. */
  readonly next: CheckPlace | undefined;
}

/** Where a check begins: at the first of `DIGEST_FUNCTIONS`. */
export const CHECK_START: CheckPlace = { digestFunction: SHA256, afterHash: "" };

/**
 * Compares a part of the index with what R2 has, both in the order of hashes. A listing of a thousand objects costs as much
 * as a dozen of look-ups, so nothing is looked up but what seems to be missing.
 */
export async function checkPart(
  shards: CacheShards,
  objects: R2Objects,
  { digestFunction, afterHash }: CheckPlace,
  { dryRun, partSize, store, uploadedBeforeMs }: CheckOptions,
): Promise<CheckedPart> {
  // The index first: an object that is indexed meanwhile is listed; one that goes meanwhile is looked up again.
  const indexed = await shards.upkeep.objectRows(digestFunction, afterHash, partSize);
  const listed = await objects.list(digestFunction, afterHash, partSize);
  // Up to there both have told everything. The last hash of a listing that was cut may have more objects.
  const upToHash = earliest(indexed.upToHash, listed.truncated ? lastButOneHash(listed.objects) : undefined);
  const isWithin = (hash: string) => upToHash === undefined || hash <= upToHash;

  const present = listed.objects.filter(({ digest }) => isWithin(digest.hash));
  const rows = indexed.rows
    .filter(({ hash }) => isWithin(hash))
    .map(({ hash, sizeBytes, uploadId }) => ({ digest: parseDigest(digestFunction, hash, sizeBytes), uploadId }));
  const presentIds = new Set(present.map(({ uploadId }) => uploadId));
  const indexedIds = new Set(rows.map(({ uploadId }) => uploadId));
  const gone = rows.filter(({ uploadId }) => !presentIds.has(uploadId));
  const spare = present.filter(({ uploadId }) => !indexedIds.has(uploadId));
  const old = spare.filter(({ uploadedMs }) => uploadedMs < uploadedBeforeMs);

  const [missing, unused] = await Promise.all([
    removeMissing(shards, objects, gone, dryRun),
    shards.upkeep.condemnObjects(old, dryRun),
  ]);
  return {
    objects: present.length,
    indexed: rows.length,
    missing: missing.map(digestKey),
    unused: unused.map(({ digest, uploadId }) => formatObjectKey(store, digest, uploadId)),
    young: spare.length - old.length,
    foreign: listed.foreign,
    next: upToHash === undefined ? firstOfNext(digestFunction) : { digestFunction, afterHash: upToHash },
  };
}

/** Takes blobs out of the index whose objects are really gone. */
async function removeMissing(
  shards: CacheShards,
  objects: R2Objects,
  blobs: readonly { readonly digest: Digest; readonly uploadId: string }[],
  dryRun: boolean,
): Promise<Digest[]> {
  const missing = await mapBounded(blobs, MAX_R2_OPERATIONS, async ({ digest, uploadId }) => {
    if ((await objects.size(digest, uploadId)) !== undefined) return [];
    // It may have been evicted since the index was read, and then its object.
    const [entry] = await shards.blobs.lookUp([digest]);
    if (entry === undefined || "bytes" in entry || entry.uploadId !== uploadId) return [];
    if (!dryRun) await shards.blobs.forgetObject(digest, uploadId);
    return [digest];
  });
  return missing.flat();
}

function firstOfNext(digestFunction: DigestFunction): CheckPlace | undefined {
  const next = DIGEST_FUNCTIONS[DIGEST_FUNCTIONS.indexOf(digestFunction) + 1];
  return next && { digestFunction: next, afterHash: "" };
}

function earliest(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}

/** The last hash all of whose objects are surely in a listing that was cut. */
function lastButOneHash(objects: readonly StoredObject[]): string | undefined {
  const last = objects.at(-1)?.digest.hash;
  // A thousand objects of one blob: the rest of them is left for another check.
  return objects.findLast(({ digest }) => digest.hash !== last)?.digest.hash ?? last;
}
