import { type Amounts, amountsSchema, type Change } from "./amounts.ts";

/** How soon after the first change the totals are saved. An object that does nothing stays in memory for longer. */
const SAVE_DELAY_MS = 3000;

/**
 * What the shard holds, exactly, at a price of two rows written each few seconds instead of one for each call: the totals
 * are in memory, and the first change after they were saved marks what is saved as out of date, in the transaction of the
 * change. An object that was killed before they were saved again counts its rows when it comes back (some 0.2 s for a
 * million).
 */
export class Totals {
  readonly #storage: DurableObjectStorage;
  #amounts: Amounts;
  #isSaved: boolean;
  #willSave = false;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    const saved = this.#saved();
    this.#isSaved = saved !== undefined;
    this.#amounts = saved ?? this.#count();
  }

  get now(): Amounts {
    return this.#amounts;
  }

  /** Of all that counts against the store's `max_bytes`. */
  get bytes(): number {
    const { inlineBytes, objectBytes, actionResultBytes } = this.#amounts;
    return inlineBytes + objectBytes + actionResultBytes;
  }

  /** Runs a transaction. What it tells `add` is forgotten with it, should it fail. */
  transaction<T>(act: () => T): T {
    try {
      return this.#storage.transactionSync(act);
    } catch (error) {
      this.#isSaved = false;
      this.#amounts = this.#count();
      throw error;
    }
  }

  /** To be called in the transaction of the change. */
  add(change: Change): void {
    if (Object.values(change).every((amount) => amount === 0)) return;
    if (this.#isSaved) {
      this.#storage.sql.exec("UPDATE totals SET up_to_date = 0");
      this.#isSaved = false;
    }
    const { inlineBlobs = 0, inlineBytes = 0, objectBlobs = 0, objectBytes = 0 } = change;
    const { actionResults = 0, actionResultBytes = 0 } = change;
    const before = this.#amounts;
    this.#amounts = {
      inlineBlobs: before.inlineBlobs + inlineBlobs,
      inlineBytes: before.inlineBytes + inlineBytes,
      objectBlobs: before.objectBlobs + objectBlobs,
      objectBytes: before.objectBytes + objectBytes,
      actionResults: before.actionResults + actionResults,
      actionResultBytes: before.actionResultBytes + actionResultBytes,
    };
    if (this.#willSave) return;
    this.#willSave = true;
    setTimeout(() => {
      this.#willSave = false;
      this.#save();
    }, SAVE_DELAY_MS);
  }

  /** Counts everything anew. To be called in a transaction. */
  recount(): void {
    const counted = this.#count();
    const difference = (name: keyof Amounts) => counted[name] - this.#amounts[name];
    this.add({
      inlineBlobs: difference("inlineBlobs"),
      inlineBytes: difference("inlineBytes"),
      objectBlobs: difference("objectBlobs"),
      objectBytes: difference("objectBytes"),
      actionResults: difference("actionResults"),
      actionResultBytes: difference("actionResultBytes"),
    });
  }

  #save(): void {
    const { sql } = this.#storage;
    const amounts = JSON.stringify(this.#amounts);
    this.#storage.transactionSync(() => {
      const { rowsWritten } = sql.exec("UPDATE totals SET up_to_date = 1, amounts = ?", amounts);
      if (rowsWritten === 0) sql.exec("INSERT INTO totals (up_to_date, amounts) VALUES (1, ?)", amounts);
    });
    this.#isSaved = true;
  }

  #saved(): Amounts | undefined {
    const query = "SELECT amounts FROM totals WHERE up_to_date = 1";
    for (const { amounts } of this.#storage.sql.exec<{ amounts: string }>(query)) {
      return amountsSchema.safeParse(JSON.parse(amounts)).data;
    }
    return undefined;
  }

  #count(): Amounts {
    const { sql } = this.#storage;
    const blobs = sql
      .exec<Pick<Amounts, "inlineBlobs" | "inlineBytes" | "objectBlobs" | "objectBytes">>(
        `SELECT count(bytes_id) AS inlineBlobs, coalesce(sum(size_bytes) FILTER (WHERE bytes_id IS NOT NULL), 0) AS inlineBytes,
                count(upload_id) AS objectBlobs, coalesce(sum(size_bytes) FILTER (WHERE upload_id IS NOT NULL), 0) AS objectBytes
         FROM blobs`,
      )
      .one();
    const results = sql
      .exec<Pick<Amounts, "actionResults" | "actionResultBytes">>(
        "SELECT count(*) AS actionResults, coalesce(sum(length(bytes)), 0) AS actionResultBytes FROM action_results",
      )
      .one();
    return { ...blobs, ...results };
  }
}
