import { isObjectIndexed } from "./blobs.ts";
import type { Deletions } from "./deletions.ts";
import type { MovingUpload, UploadKey, UploadPart, UploadSession } from "./rpc.ts";

const WHERE_KEY =
  "WHERE instance = ? AND client_upload_id = ? AND digest_function = ? AND hash = unhex(?) AND size_bytes = ?";

function bindings({ instance, clientUploadId, digest }: UploadKey): [string, string, number, string, number] {
  return [instance, clientUploadId, digest.digestFunction, digest.hash, digest.sizeBytes];
}

/** The upload that has begun under `key` and not ended, with its parts in order. */
export function findUpload(
  sql: SqlStorage,
  key: UploadKey,
): { session: UploadSession; parts: UploadPart[] } | undefined {
  const [session] = sql
    .exec<{ uploadId: string; r2UploadId: string; partSizeBytes: number }>(
      `SELECT upload_id AS uploadId, r2_upload_id AS r2UploadId, part_size_bytes AS partSizeBytes
       FROM uploads ${WHERE_KEY}`,
      ...bindings(key),
    )
    .toArray();
  if (session === undefined) return undefined;
  const parts = sql
    .exec<{ partNumber: number; etag: string }>(
      "SELECT part_number AS partNumber, etag FROM upload_parts WHERE upload_id = ? ORDER BY part_number",
      session.uploadId,
    )
    .toArray();
  return { session, parts };
}

/** Begins an upload in place of the one that is there, which is discarded. To be called in a transaction. */
export function beginUpload(
  sql: SqlStorage,
  deletions: Deletions,
  key: UploadKey,
  session: UploadSession,
  nowMs: number,
): void {
  const replaced = findUpload(sql, key)?.session;
  // The same call again, after an answer that was lost.
  if (replaced?.uploadId === session.uploadId) return;
  if (replaced !== undefined) discardUpload(sql, deletions, key, replaced, nowMs);
  insertUpload(sql, key, session, nowMs);
}

function insertUpload(
  sql: SqlStorage,
  key: UploadKey,
  { uploadId, r2UploadId, partSizeBytes }: UploadSession,
  beganMs: number,
): void {
  sql.exec(
    `INSERT INTO uploads
       (instance, client_upload_id, digest_function, hash, size_bytes,
        upload_id, r2_upload_id, part_size_bytes, began_ms)
     VALUES (?, ?, ?, unhex(?), ?, ?, ?, ?, ?)`,
    ...bindings(key),
    uploadId,
    r2UploadId,
    partSizeBytes,
    beganMs,
  );
}

/** Whether `uploadId` is the upload that has begun under `key` and not ended. */
export function isCurrentUpload(sql: SqlStorage, key: UploadKey, uploadId: string): boolean {
  return (
    sql.exec(`SELECT 1 FROM uploads ${WHERE_KEY} AND upload_id = ?`, ...bindings(key), uploadId).toArray().length > 0
  );
}

/**
 * Records that R2 has acknowledged a part.
 * @returns false if the upload has ended, or another has begun in its place.
 */
export function recordPart(
  sql: SqlStorage,
  key: UploadKey,
  uploadId: string,
  part: UploadPart,
  nowMs: number,
): boolean {
  if (!isCurrentUpload(sql, key, uploadId)) return false;
  sql.exec(
    "INSERT OR REPLACE INTO upload_parts (upload_id, part_number, etag, stored_ms) VALUES (?, ?, ?, ?)",
    uploadId,
    part.partNumber,
    part.etag,
    nowMs,
  );
  return true;
}

/** Ends an upload that came to nothing: what R2 has of it is to be removed. To be called in a transaction. */
export function discardUpload(
  sql: SqlStorage,
  deletions: Deletions,
  key: UploadKey,
  { uploadId, r2UploadId }: Pick<UploadSession, "uploadId" | "r2UploadId">,
  nowMs: number,
): void {
  forgetUpload(sql, key, uploadId);
  // An earlier version indexed an object first and ended its upload then, and may have been cut off between the two.
  if (isObjectIndexed(sql, key.digest, uploadId)) return;
  deletions.add({ digest: key.digest, uploadId, r2UploadId }, nowMs);
}

/** Ends an upload whose object is spoken for, in the index or on the list of deletions. */
export function forgetUpload(sql: SqlStorage, key: UploadKey, uploadId: string): void {
  sql.exec(`DELETE FROM uploads ${WHERE_KEY} AND upload_id = ?`, ...bindings(key), uploadId);
  sql.exec("DELETE FROM upload_parts WHERE upload_id = ?", uploadId);
}

/** Uploads under hashes that `isWanted` picks, at most `limit`, with their parts. */
export function uploadPage(sql: SqlStorage, isWanted: (hash: string) => boolean, limit: number): MovingUpload[] {
  const uploads: MovingUpload[] = [];
  for (const row of sql.exec<{
    instance: string;
    client_upload_id: string;
    digest_function: number;
    hash: string;
    size_bytes: number;
    began_ms: number;
  }>(
    `SELECT instance, client_upload_id, digest_function, lower(hex(hash)) AS hash, size_bytes, began_ms FROM uploads`,
  )) {
    if (!isWanted(row.hash)) continue;
    const digest = { digestFunction: row.digest_function, hash: row.hash, sizeBytes: row.size_bytes };
    const key = { instance: row.instance, clientUploadId: row.client_upload_id, digest };
    const session = findUpload(sql, key)?.session;
    if (session === undefined) continue;
    const parts = sql
      .exec<{ partNumber: number; etag: string; storedMs: number }>(
        `SELECT part_number AS partNumber, etag, stored_ms AS storedMs
         FROM upload_parts WHERE upload_id = ? ORDER BY part_number`,
        session.uploadId,
      )
      .toArray();
    uploads.push({ key, session, beganMs: row.began_ms, parts });
    if (uploads.length === limit) break;
  }
  return uploads;
}

/**
 * Takes an upload from another shard, unless its client has begun anew here. To be called in a transaction.
 * @returns whether it was taken, or had been before
 */
export function receiveUpload(sql: SqlStorage, { beganMs, key, parts, session }: MovingUpload): boolean {
  const present = findUpload(sql, key)?.session;
  if (present !== undefined) return present.uploadId === session.uploadId;
  insertUpload(sql, key, session, beganMs);
  for (const { storedMs, ...part } of parts) recordPart(sql, key, session.uploadId, part, storedMs);
  return true;
}
