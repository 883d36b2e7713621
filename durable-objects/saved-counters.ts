/** How soon after the first change counters are saved. An object that does nothing stays in memory for longer than this. */
const SAVE_DELAY_MS = 3000;

/**
 * Keeps an object's counters over its sleep: in one row, written at most once each few seconds while something is counted,
 * since a row written is billed. What a crash loses is a few seconds' counts, which nothing depends on.
 *
 * The table `saved_counters (counters TEXT NOT NULL)` is part of the object's schema.
 */
export class SavedCounters {
  readonly #sql: SqlStorage;
  readonly #snapshot: () => unknown;
  #willSave = false;

  /** @param snapshot what is saved, as something that JSON can hold */
  constructor(sql: SqlStorage, snapshot: () => unknown) {
    this.#sql = sql;
    this.#snapshot = snapshot;
  }

  /** What was saved last, to be checked: an earlier version may have written it. Undefined if nothing was. */
  static load(sql: SqlStorage): unknown {
    for (const { counters } of sql.exec<{ counters: string }>("SELECT counters FROM saved_counters")) {
      const saved: unknown = JSON.parse(counters);
      return saved;
    }
    return undefined;
  }

  /** Something was counted. */
  changed(): void {
    if (this.#willSave) return;
    this.#willSave = true;
    setTimeout(() => {
      this.#willSave = false;
      const counters = JSON.stringify(this.#snapshot());
      const { rowsWritten } = this.#sql.exec("UPDATE saved_counters SET counters = ?", counters);
      if (rowsWritten === 0) this.#sql.exec("INSERT INTO saved_counters (counters) VALUES (?)", counters);
    }, SAVE_DELAY_MS);
  }
}
