import { askedByJson, type AskedDigests } from "./asked-digests.ts";
import { digestBindings } from "./digest-key.ts";
import type { Deletions } from "./deletions.ts";
import type { BlobEntry, DigestKey, DigestsJson, MovingBlob } from "./rpc.ts";
import type { Change } from "./amounts.ts";

const WHERE_DIGEST = "WHERE digest_function = ? AND hash = unhex(?) AND size_bytes = ?";

/** A row for each element of the JSON text that is the first parameter; `position` counts from 0. */
const DIGESTS = `
  SELECT key AS position, value ->> 0 AS digest_function, unhex(value ->> 1) AS hash, value ->> 2 AS size_bytes
  FROM json_each(?1)`;

/** The positions of those that are not stored. The others count as used. */
export function findMissing(sql: SqlStorage, asked: AskedDigests, nowMs: number, touchIntervalMs: number): number[] {
  // One pass finds what is missing and whether anything is due to be touched, which is rare, and only then written. It
  // answers in one row, since each row costs about as much as the look-up itself.
  const { missing, due } = sql
    .exec<{ missing: string | null; due: number | null }>(
      `SELECT group_concat(position) FILTER (WHERE b.last_access_ms IS NULL) AS missing,
              max(b.last_access_ms < ?2) AS due
       FROM (${asked.select}) AS d LEFT JOIN blobs AS b USING (digest_function, hash, size_bytes)`,
      nowMs,
      nowMs - touchIntervalMs,
      ...asked.bindings,
    )
    .one();
  if (due === 1) touch(sql, asked, nowMs, touchIntervalMs);
  return missing === null ? [] : missing.split(",").map(Number);
}

/** Where each blob is, or undefined where it is not stored, in order. Those that are count as used. */
export function lookUp(
  sql: SqlStorage,
  digests: DigestsJson,
  nowMs: number,
  touchIntervalMs: number,
): (BlobEntry | undefined)[] {
  const entries: (BlobEntry | undefined)[] = [];
  let due = false;
  for (const row of sql.exec<{
    last_access_ms: number | null;
    upload_id: string | null;
    bytes: ArrayBuffer | null;
  }>(
    `SELECT last_access_ms, upload_id, bytes
     FROM (${DIGESTS}) AS d LEFT JOIN blobs AS b USING (digest_function, hash, size_bytes)
     LEFT JOIN blob_bytes ON blob_bytes.id = b.bytes_id
     ORDER BY position`,
    digests,
  )) {
    due ||= row.last_access_ms !== null && row.last_access_ms < nowMs - touchIntervalMs;
    if (row.upload_id !== null) entries.push({ uploadId: row.upload_id });
    else if (row.bytes !== null) entries.push({ bytes: new Uint8Array(row.bytes) });
    else entries.push(undefined);
  }
  if (due) touch(sql, askedByJson(digests), nowMs, touchIntervalMs);
  return entries;
}

/** The size of the stored blob with a hash, or undefined. Counts as a use. */
export function findByHash(
  sql: SqlStorage,
  digestFunction: number,
  hash: string,
  nowMs: number,
  touchIntervalMs: number,
): number | undefined {
  const [row] = sql
    .exec<{ size_bytes: number; last_access_ms: number }>(
      "SELECT size_bytes, last_access_ms FROM blobs WHERE digest_function = ? AND hash = unhex(?) LIMIT 1",
      digestFunction,
      hash,
    )
    .toArray();
  if (row === undefined) return undefined;
  if (row.last_access_ms < nowMs - touchIntervalMs) {
    touch(sql, askedByJson(JSON.stringify([[digestFunction, hash, row.size_bytes]])), nowMs, touchIntervalMs);
  }
  return row.size_bytes;
}

function touch(sql: SqlStorage, asked: AskedDigests, nowMs: number, touchIntervalMs: number): void {
  sql.exec(
    `UPDATE blobs SET last_access_ms = ?1
     WHERE last_access_ms < ?2
       AND (digest_function, hash, size_bytes) IN (SELECT digest_function, hash, size_bytes FROM (${asked.select}))`,
    nowMs,
    nowMs - touchIntervalMs,
    ...asked.bindings,
  );
}

/**
 * Stores blobs with their bytes, which lie one after another in `bytes`, and which the caller has verified. One that is
 * stored already stays as it is, and counts as used. To be called in a transaction.
 */
export function insertInline(
  sql: SqlStorage,
  digests: DigestsJson,
  bytes: Uint8Array,
  nowMs: number,
  touchIntervalMs: number,
): Change {
  const { lastId } = sql.exec<{ lastId: number }>("SELECT coalesce(max(id), 0) AS lastId FROM blob_bytes").one();
  const written = sql.exec<{ bytes_id: number | null; size: number }>(
    `INSERT INTO blobs (digest_function, hash, size_bytes, last_access_ms, bytes_id)
     SELECT digest_function, hash, size_bytes, ?2, ?3 + 1 + position FROM (${DIGESTS}) WHERE true
     ON CONFLICT DO UPDATE SET last_access_ms = excluded.last_access_ms WHERE last_access_ms < ?4
     RETURNING bytes_id, size_bytes AS size`,
    digests,
    nowMs,
    lastId,
    nowMs - touchIntervalMs,
  );
  // Rows that were there before, and were merely touched, have an id below these or none.
  const inserted = [...written].filter(({ bytes_id }) => bytes_id !== null && bytes_id > lastId);
  if (inserted.length === 0) return {};
  sql.exec(
    `INSERT INTO blob_bytes (id, bytes)
     SELECT ?2 + 1 + position, substr(?3, 1 + start, size_bytes)
     FROM (SELECT position, size_bytes, sum(size_bytes) OVER (ORDER BY position) - size_bytes AS start FROM (${DIGESTS}))
     WHERE ?2 + 1 + position IN (SELECT value FROM json_each(?4))`,
    digests,
    lastId,
    bytes,
    JSON.stringify(inserted.map(({ bytes_id }) => bytes_id)),
  );
  return { inlineBlobs: inserted.length, inlineBytes: sum(inserted) };
}

/**
 * Removes blobs from the index; their objects come onto the list of deletions, due at `deletionMs`. To be called in a
 * transaction.
 */
export function removeBlobs(
  sql: SqlStorage,
  deletions: Deletions,
  blobs: readonly DigestKey[],
  deletionMs: number,
): Change {
  const digests = toJson(blobs);
  const isOne = `(digest_function, hash, size_bytes) IN (SELECT digest_function, hash, size_bytes FROM (${DIGESTS}))`;
  deletions.addIndexed(
    `SELECT upload_id, digest_function, hash, size_bytes FROM blobs WHERE ${isOne}`,
    digests,
    deletionMs,
  );
  sql.exec(`DELETE FROM blob_bytes WHERE id IN (SELECT bytes_id FROM blobs WHERE ${isOne})`, digests);
  const removed = sql
    .exec<{ size: number; inline: number }>(
      `DELETE FROM blobs WHERE ${isOne} RETURNING size_bytes AS size, bytes_id IS NOT NULL AS inline`,
      digests,
    )
    .toArray();
  const inline = removed.filter((row) => row.inline === 1);
  const objects = removed.filter((row) => row.inline === 0);
  return {
    inlineBlobs: -inline.length,
    inlineBytes: -sum(inline),
    objectBlobs: -objects.length,
    objectBytes: -sum(objects),
  };
}

function sum(rows: readonly { readonly size: number }[]): number {
  return rows.reduce((total, { size }) => total + size, 0);
}

function toJson(digests: readonly DigestKey[]): DigestsJson {
  return JSON.stringify(digests.map(({ digestFunction, hash, sizeBytes }) => [digestFunction, hash, sizeBytes]));
}

/** The bytes of an inline blob, or undefined if they are no longer there. */
export function inlineBytes(sql: SqlStorage, digest: DigestKey, bytesId: number): Uint8Array | undefined {
  const [row] = sql
    .exec<{ bytes: ArrayBuffer }>(
      `SELECT bytes FROM blob_bytes WHERE id = (SELECT bytes_id FROM blobs ${WHERE_DIGEST} AND bytes_id = ?)`,
      ...digestBindings(digest),
      bytesId,
    )
    .toArray();
  return row && new Uint8Array(row.bytes);
}

/**
 * Puts an R2 object, which holds the blob's bytes, in the place of its row of bytes. To be called in a transaction.
 * @returns undefined if the blob no longer has that row; then nothing is changed.
 */
export function moveToObject(
  sql: SqlStorage,
  digest: DigestKey,
  bytesId: number,
  uploadId: string,
): Change | undefined {
  const moved = sql.exec(
    `UPDATE blobs SET upload_id = ?, bytes_id = NULL ${WHERE_DIGEST} AND bytes_id = ? RETURNING 1`,
    uploadId,
    ...digestBindings(digest),
    bytesId,
  );
  if (moved.toArray().length === 0) return undefined;
  sql.exec("DELETE FROM blob_bytes WHERE id = ?", bytesId);
  const { sizeBytes } = digest;
  return { inlineBlobs: -1, inlineBytes: -sizeBytes, objectBlobs: 1, objectBytes: sizeBytes };
}

/**
 * Takes a blob from another shard. To be called in a transaction.
 * @returns `surplus` if the blob was here before, or its object is being deleted: then that object is of no use
 */
export function receiveBlob(
  sql: SqlStorage,
  deletions: Deletions,
  { digest, entry, lastAccessMs }: MovingBlob,
): { readonly change: Change; readonly surplus: boolean } {
  const touched = sql.exec(
    `UPDATE blobs SET last_access_ms = max(last_access_ms, ?) ${WHERE_DIGEST} RETURNING 1`,
    lastAccessMs,
    ...digestBindings(digest),
  );
  if (touched.toArray().length > 0) {
    return { change: {}, surplus: "uploadId" in entry && !isObjectIndexed(sql, digest, entry.uploadId) };
  }
  if ("uploadId" in entry) {
    if (deletions.has(entry.uploadId)) return { change: {}, surplus: true };
    return { change: insertObject(sql, digest, entry.uploadId, lastAccessMs), surplus: false };
  }
  return { change: insertInline(sql, toJson([digest]), entry.bytes, lastAccessMs, 0), surplus: false };
}

/**
 * Drops a blob that is in another shard now, with its bytes but not its object. To be called in a transaction.
 * @returns undefined if it was no longer here as it was sent
 */
export function dropMoved(sql: SqlStorage, digest: DigestKey, entry: BlobEntry): Change | undefined {
  const uploadId = "uploadId" in entry ? entry.uploadId : null;
  const [dropped] = sql
    .exec<{ bytesId: number | null }>(
      `DELETE FROM blobs ${WHERE_DIGEST} AND upload_id IS ? RETURNING bytes_id AS bytesId`,
      ...digestBindings(digest),
      uploadId,
    )
    .toArray();
  if (dropped === undefined) return undefined;
  const { sizeBytes } = digest;
  if (dropped.bytesId === null) return { objectBlobs: -1, objectBytes: -sizeBytes };
  sql.exec("DELETE FROM blob_bytes WHERE id = ?", dropped.bytesId);
  return { inlineBlobs: -1, inlineBytes: -sizeBytes };
}

/** Whether the object of `uploadId` is what the index says of the blob. */
export function isObjectIndexed(sql: SqlStorage, digest: DigestKey, uploadId: string): boolean {
  const held = sql.exec(`SELECT 1 FROM blobs ${WHERE_DIGEST} AND upload_id = ?`, ...digestBindings(digest), uploadId);
  return held.toArray().length > 0;
}

/** Counts as a use of the blob. Returns false if it is not stored. */
export function touchOne(sql: SqlStorage, digest: DigestKey, nowMs: number, touchIntervalMs: number): boolean {
  const [row] = sql
    .exec<{ lastAccessMs: number }>(
      `SELECT last_access_ms AS lastAccessMs FROM blobs ${WHERE_DIGEST}`,
      ...digestBindings(digest),
    )
    .toArray();
  if (row === undefined) return false;
  if (row.lastAccessMs < nowMs - touchIntervalMs) {
    sql.exec(`UPDATE blobs SET last_access_ms = ? ${WHERE_DIGEST}`, nowMs, ...digestBindings(digest));
  }
  return true;
}

/** Says that the object of `uploadId` holds a blob that is not stored yet. */
export function insertObject(sql: SqlStorage, digest: DigestKey, uploadId: string, nowMs: number): Change {
  sql.exec(
    `INSERT INTO blobs (digest_function, hash, size_bytes, last_access_ms, upload_id) VALUES (?, unhex(?), ?, ?, ?)`,
    ...digestBindings(digest),
    nowMs,
    uploadId,
  );
  return { objectBlobs: 1, objectBytes: digest.sizeBytes };
}
