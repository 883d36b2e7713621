import { digestBindings } from "./digest-key.ts";
import type { ActionResultKey, MovingActionResult, PutActionResultRequest } from "./rpc.ts";
import type { Change } from "./amounts.ts";

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
export function putActionResult(
  sql: SqlStorage,
  { bytes, key, priority = 0 }: Pick<PutActionResultRequest, "bytes" | "key" | "priority">,
  nowMs: number,
): Change {
  const before = sql
    .exec<{ length: number; size: number }>(
      `SELECT length(bytes) AS length, size_bytes AS size FROM action_results
       WHERE instance = ? AND digest_function = ? AND hash = unhex(?)`,
      key.instance,
      key.digest.digestFunction,
      key.digest.hash,
    )
    .toArray();
  if (before.some(({ size }) => size !== key.digest.sizeBytes)) {
    sql.exec(
      "DELETE FROM action_results WHERE instance = ? AND digest_function = ? AND hash = unhex(?) AND size_bytes <> ?",
      ...bindings(key),
    );
  }
  sql.exec(
    `INSERT INTO action_results (instance, digest_function, hash, size_bytes, bytes, last_access_ms, priority)
     VALUES (?, ?, unhex(?), ?, ?, ?, ?)
     ON CONFLICT (instance, digest_function, hash, size_bytes)
     DO UPDATE SET bytes = excluded.bytes, last_access_ms = excluded.last_access_ms, priority = excluded.priority`,
    ...bindings(key),
    bytes,
    nowMs,
    priority,
  );
  return {
    actionResults: 1 - before.length,
    actionResultBytes: bytes.length - before.reduce((sum, { length }) => sum + length, 0),
  };
}

/** The result with just this key, without counting it as used. */
export function actionResultBytes(sql: SqlStorage, { digest, instance }: ActionResultKey): Uint8Array | undefined {
  const query =
    "SELECT bytes FROM action_results WHERE instance = ? AND digest_function = ? AND hash = unhex(?) AND size_bytes = ?";
  for (const { bytes } of sql.exec<{ bytes: ArrayBuffer }>(query, instance, ...digestBindings(digest))) {
    return new Uint8Array(bytes);
  }
  return undefined;
}

/** Takes a result from another shard, unless there is a later one, which came here. */
export function receiveActionResult(
  sql: SqlStorage,
  { bytes, key, lastAccessMs, priority = 0 }: MovingActionResult,
): Change {
  const written = sql
    .exec(
      `INSERT INTO action_results (instance, digest_function, hash, size_bytes, bytes, last_access_ms, priority)
         SELECT ?1, ?2, unhex(?3), ?4, ?5, ?6, ?7 WHERE NOT EXISTS
           (SELECT 1 FROM action_results WHERE instance = ?1 AND digest_function = ?2 AND hash = unhex(?3))
         RETURNING 1`,
      ...bindings(key),
      bytes,
      lastAccessMs,
      priority,
    )
    .toArray().length;
  return { actionResults: written, actionResultBytes: written * bytes.length };
}

/** Removes an action's result; where `bytes` are given, only if it still is that one. */
export function removeActionResult(sql: SqlStorage, key: ActionResultKey, bytes: Uint8Array | undefined): Change {
  const removal = `DELETE FROM action_results ${WHERE_KEY}`;
  const returning = "RETURNING length(bytes) AS length";
  return removed(
    bytes === undefined
      ? sql.exec<{ length: number }>(`${removal} ${returning}`, ...bindings(key))
      : sql.exec<{ length: number }>(`${removal} AND bytes = ?5 ${returning}`, ...bindings(key), bytes),
  );
}

/** Removes the results with just these keys, whatever they are. */
export function removeActionResults(sql: SqlStorage, keys: readonly ActionResultKey[]): Change {
  return removed(
    sql.exec<{ length: number }>(
      `DELETE FROM action_results WHERE (instance, digest_function, hash, size_bytes) IN
         (SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3 FROM json_each(?))
       RETURNING length(bytes) AS length`,
      JSON.stringify(keys.map(bindings)),
    ),
  );
}

function removed(rows: Iterable<{ readonly length: number }>): Change {
  const lengths = [...rows].map(({ length }) => length);
  return { actionResults: -lengths.length, actionResultBytes: -lengths.reduce((sum, length) => sum + length, 0) };
}
