import type { UploadKey, UploadPart, UploadSession } from "./rpc.ts";

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

/**
 * Begins an upload in place of the one that is there.
 * @returns the one that was there, for the caller to abort.
 */
export function beginUpload(
  sql: SqlStorage,
  key: UploadKey,
  { uploadId, r2UploadId, partSizeBytes }: UploadSession,
  nowMs: number,
): UploadSession | undefined {
  const replaced = findUpload(sql, key)?.session;
  // The same call again, after an answer that was lost.
  if (replaced?.uploadId === uploadId) return undefined;
  if (replaced !== undefined) endUpload(sql, key, replaced.uploadId);
  sql.exec(
    `INSERT INTO uploads
       (instance, client_upload_id, digest_function, hash, size_bytes,
        upload_id, r2_upload_id, part_size_bytes, began_ms)
     VALUES (?, ?, ?, unhex(?), ?, ?, ?, ?, ?)`,
    ...bindings(key),
    uploadId,
    r2UploadId,
    partSizeBytes,
    nowMs,
  );
  return replaced;
}

/**
 * Records that R2 has acknowledged a part.
 * @returns false if the upload has ended, or another has begun in its place.
 */
export function recordPart(sql: SqlStorage, key: UploadKey, uploadId: string, part: UploadPart): boolean {
  if (findUpload(sql, key)?.session.uploadId !== uploadId) return false;
  sql.exec(
    "INSERT OR REPLACE INTO upload_parts (upload_id, part_number, etag) VALUES (?, ?, ?)",
    uploadId,
    part.partNumber,
    part.etag,
  );
  return true;
}

/** Forgets an upload, unless another has begun in its place. */
export function endUpload(sql: SqlStorage, key: UploadKey, uploadId: string): void {
  sql.exec(`DELETE FROM uploads ${WHERE_KEY} AND upload_id = ?`, ...bindings(key), uploadId);
  sql.exec("DELETE FROM upload_parts WHERE upload_id = ?", uploadId);
}
