import type { ActionResultKey } from "./rpc.ts";

/**
 * An action's result has at most one row for its hash. The size is 0 where it came or is asked for over HTTP, whose paths
 * have no size: that matches any.
 */
const WHERE_KEY =
  "WHERE instance = ?1 AND digest_function = ?2 AND hash = unhex(?3) AND (size_bytes = ?4 OR size_bytes = 0 OR ?4 = 0)";

function bindings({ instance, digest }: ActionResultKey): [string, number, string, number] {
  return [instance, digest.digestFunction, digest.hash, digest.sizeBytes];
}

/** The serialized ActionResult, or undefined. Counts as a use. */
export function getActionResult(
  sql: SqlStorage,
  key: ActionResultKey,
  nowMs: number,
  touchIntervalMs: number,
): Uint8Array | undefined {
  const [row] = sql
    .exec<{ bytes: ArrayBuffer; last_access_ms: number }>(
      `SELECT bytes, last_access_ms FROM action_results ${WHERE_KEY}`,
      ...bindings(key),
    )
    .toArray();
  if (row === undefined) return undefined;
  if (row.last_access_ms < nowMs - touchIntervalMs) {
    sql.exec(`UPDATE action_results SET last_access_ms = ?5 ${WHERE_KEY}`, ...bindings(key), nowMs);
  }
  return new Uint8Array(row.bytes);
}

/** Stores a serialized ActionResult in place of the one that is there. */
export function putActionResult(sql: SqlStorage, key: ActionResultKey, bytes: Uint8Array, nowMs: number): void {
  sql.exec(
    "DELETE FROM action_results WHERE instance = ? AND digest_function = ? AND hash = unhex(?) AND size_bytes <> ?",
    ...bindings(key),
  );
  sql.exec(
    `INSERT INTO action_results (instance, digest_function, hash, size_bytes, bytes, last_access_ms)
     VALUES (?, ?, unhex(?), ?, ?, ?)
     ON CONFLICT (instance, digest_function, hash, size_bytes)
     DO UPDATE SET bytes = excluded.bytes, last_access_ms = excluded.last_access_ms`,
    ...bindings(key),
    bytes,
    nowMs,
  );
}

/** Removes an action's result; where `bytes` are given, only if it still is that one. */
export function removeActionResult(sql: SqlStorage, key: ActionResultKey, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) sql.exec(`DELETE FROM action_results ${WHERE_KEY}`, ...bindings(key));
  else sql.exec(`DELETE FROM action_results ${WHERE_KEY} AND bytes = ?5`, ...bindings(key), bytes);
}
