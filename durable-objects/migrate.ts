/**
 * Brings an object's database to the present schema. Does nothing, and writes nothing, where it is there already.
 *
 * A database of a newer schema is left as it is: a deploy may be rolled back, and steps only ever add.
 *
 * @param steps each leads from the schema before it to the next. A step is never changed once it is deployed, only
 * followed by another.
 */
export function migrate(storage: DurableObjectStorage, steps: readonly string[]): void {
  const { sql } = storage;
  storage.transactionSync(() => {
    sql.exec("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)");
    const [row] = sql.exec<{ version: number }>("SELECT version FROM schema_version").toArray();
    const pending = steps.slice(row?.version ?? 0);
    if (pending.length === 0) return;
    for (const step of pending) sql.exec(step);
    sql.exec("DELETE FROM schema_version");
    sql.exec("INSERT INTO schema_version (version) VALUES (?)", steps.length);
  });
}
