import { digestBindings } from "./digest-key.ts";
import type { ActionResultKey, DigestKey } from "./rpc.ts";

/** A blob as the index has it: an R2 object or a row of `blob_bytes`. */
export interface BlobRow {
  readonly key: DigestKey;
  readonly lastAccessMs: number;
  readonly uploadId: string | null;
  readonly bytesId: number | null;
}

export interface ActionResultRow {
  readonly key: ActionResultKey;
  readonly lastAccessMs: number;
  readonly sizeBytes: number;
  /** ResultsCachePolicy.priority. */
  readonly priority: number;
}

/**
 * The blobs that come after one, in the order of the index's key: at most `limit`, and none only at the end. One statement
 * is for one digest function, and orders by the table's own columns, not by what they are called in the result: else SQLite
 * sorts all of the rest.
 */
export function blobPage(sql: SqlStorage, after: DigestKey | undefined, limit: number): BlobRow[] {
  const rows = after === undefined ? [] : blobsFrom(sql, after, limit);
  if (rows.length > 0) return rows;
  const { next } = sql
    .exec<{ next: number | null }>(
      "SELECT min(digest_function) AS next FROM blobs WHERE digest_function > ?",
      after?.digestFunction ?? -1,
    )
    .one();
  return next === null ? [] : blobsFrom(sql, { digestFunction: next, hash: "", sizeBytes: -1 }, limit);
}

function blobsFrom(sql: SqlStorage, after: DigestKey, limit: number): BlobRow[] {
  return sql
    .exec<{
      hash: string;
      size_bytes: number;
      last_access_ms: number;
      upload_id: string | null;
      bytes_id: number | null;
    }>(
      `SELECT lower(hex(hash)) AS hash, size_bytes, last_access_ms, upload_id, bytes_id
       FROM blobs WHERE digest_function = ? AND (hash, size_bytes) > (unhex(?), ?)
       ORDER BY blobs.hash, blobs.size_bytes LIMIT ?`,
      ...digestBindings(after),
      limit,
    )
    .toArray()
    .map((row) => ({
      key: { digestFunction: after.digestFunction, hash: row.hash, sizeBytes: row.size_bytes },
      lastAccessMs: row.last_access_ms,
      uploadId: row.upload_id,
      bytesId: row.bytes_id,
    }));
}

/** The action results that come after one, likewise. */
export function actionResultPage(
  sql: SqlStorage,
  after: ActionResultKey | undefined,
  limit: number,
): ActionResultRow[] {
  const rows = after === undefined ? [] : actionResultsFrom(sql, after, limit);
  if (rows.length > 0) return rows;
  const [next] = sql
    .exec<{ instance: string; digestFunction: number }>(
      `SELECT instance, digest_function AS digestFunction FROM action_results
       WHERE (instance, digest_function) > (?, ?) ORDER BY instance, digest_function LIMIT 1`,
      after?.instance ?? "",
      after?.digest.digestFunction ?? -1,
    )
    .toArray();
  if (next === undefined) return [];
  const digest = { digestFunction: next.digestFunction, hash: "", sizeBytes: -1 };
  return actionResultsFrom(sql, { instance: next.instance, digest }, limit);
}

function actionResultsFrom(sql: SqlStorage, { instance, digest }: ActionResultKey, limit: number): ActionResultRow[] {
  return sql
    .exec<{ hash: string; size_bytes: number; last_access_ms: number; length: number; priority: number }>(
      `SELECT lower(hex(hash)) AS hash, size_bytes, last_access_ms, length(bytes) AS length, priority
       FROM action_results WHERE instance = ? AND digest_function = ? AND (hash, size_bytes) > (unhex(?), ?)
       ORDER BY action_results.hash, action_results.size_bytes LIMIT ?`,
      instance,
      ...digestBindings(digest),
      limit,
    )
    .toArray()
    .map((row) => ({
      key: { instance, digest: { ...digest, hash: row.hash, sizeBytes: row.size_bytes } },
      lastAccessMs: row.last_access_ms,
      sizeBytes: row.length,
      priority: row.priority,
    }));
}

/** A walk over all blobs and then all action results, in bounded steps. What comes meanwhile may be seen or not. */
export class IndexWalk {
  readonly #sql: SqlStorage;
  #blob: DigestKey | undefined;
  #blobsDone = false;
  #actionResult: ActionResultKey | undefined;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The next `limit` at most; nothing at the end only. */
  next(limit: number): { readonly blobs: readonly BlobRow[]; readonly actionResults: readonly ActionResultRow[] } {
    const blobs = this.#blobsDone ? [] : blobPage(this.#sql, this.#blob, limit);
    this.#blob = blobs.at(-1)?.key ?? this.#blob;
    if (blobs.length > 0) return { blobs, actionResults: [] };
    this.#blobsDone = true;
    const actionResults = actionResultPage(this.#sql, this.#actionResult, limit);
    this.#actionResult = actionResults.at(-1)?.key ?? this.#actionResult;
    return { blobs, actionResults };
  }
}
