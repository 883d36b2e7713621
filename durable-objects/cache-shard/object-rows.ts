import type { Deletions } from "./deletions.ts";
import { digestBindings } from "./digest-key.ts";
import type { DigestKey, ObjectRow } from "./rpc.ts";

/** The blobs of one digest function that are R2 objects and whose hashes come after one, in order, at most `limit`. */
export function objectRows(sql: SqlStorage, digestFunction: number, afterHash: string, limit: number): ObjectRow[] {
  return sql
    .exec<{ hash: string; sizeBytes: number; uploadId: string }>(
      `SELECT lower(hex(hash)) AS hash, size_bytes AS sizeBytes, upload_id AS uploadId FROM blobs
       WHERE digest_function = ? AND hash > unhex(?) AND upload_id IS NOT NULL ORDER BY blobs.hash LIMIT ?`,
      digestFunction,
      afterHash,
      limit,
    )
    .toArray();
}

/**
 * Puts an object that lies in R2 on the list of deletions, unless something refers to it: the index, an upload that goes
 * on, or the list itself. To be called in a transaction.
 * @param act false to look only
 * @returns whether nothing refers to it
 */
export function condemnObject(
  sql: SqlStorage,
  deletions: Deletions,
  digest: DigestKey,
  uploadId: string,
  dueMs: number,
  act: boolean,
): boolean {
  const isReferred = sql.exec(
    `SELECT 1 FROM blobs WHERE digest_function = ?1 AND hash = unhex(?2) AND size_bytes = ?3 AND upload_id = ?4
     UNION ALL
     SELECT 1 FROM uploads WHERE digest_function = ?1 AND hash = unhex(?2) AND size_bytes = ?3 AND upload_id = ?4`,
    ...digestBindings(digest),
    uploadId,
  );
  if (isReferred.toArray().length > 0 || deletions.has(uploadId)) return false;
  if (act) deletions.add({ digest, uploadId }, dueMs);
  return true;
}
