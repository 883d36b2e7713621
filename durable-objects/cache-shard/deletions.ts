import { mapBounded } from "../../src/batching/map-bounded.ts";
import { NoSuchUploadError, type R2Objects } from "../../src/blob-store/r2-objects.ts";
import { digestKey, type Digest } from "../../src/digest/digest.ts";
import { log } from "../../src/log.ts";
import type { Chore } from "./chore.ts";
import { digestBindings, digestOfKey } from "./digest-key.ts";
import type { DigestKey } from "./rpc.ts";
import type { UpkeepCounters } from "./upkeep-counters.ts";

/** R2 deletes up to 1,000 objects in one call; reading the list must stay cheap, too. */
const MAX_DELETIONS_PER_STEP = 500;

/** A request has six connections. */
const MAX_R2_OPERATIONS = 6;

/** How long a deletion that failed waits; twice as long after each failure more, up to the other. */
const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 3_600_000;

/** Readers that were told of an object just before it left the index still find it for so long. */
export const DELETION_GRACE_MS = 5 * 60_000;

/** An R2 object that nothing refers to, or will. */
export interface UnusedObject {
  readonly digest: DigestKey;
  readonly uploadId: string;
  /** Of the multipart upload by which it came, if that may still be open. */
  readonly r2UploadId?: string | undefined;
}

interface DueDeletion {
  readonly digest: Digest;
  readonly uploadId: string;
  readonly r2UploadId: string | undefined;
}

/**
 * The R2 objects that are to be deleted. An object comes onto the list in the transaction that takes it out of the index,
 * and what is on the list is never indexed again (`insertObject`); so at any line at which the object is killed, no row
 * of the index names an object that is being deleted, and none that has to be deleted is forgotten.
 */
export class Deletions implements Chore {
  readonly name = "deletions";
  readonly #storage: DurableObjectStorage;
  readonly #objects: () => R2Objects;
  readonly #counters: UpkeepCounters;
  #dueMs = Infinity;
  #count = 0;

  constructor(storage: DurableObjectStorage, objects: () => R2Objects, counters: UpkeepCounters) {
    this.#storage = storage;
    this.#objects = objects;
    this.#counters = counters;
    this.#look();
  }

  dueMs(): number {
    return this.#dueMs;
  }

  /** How many there are, or a few more. */
  get count(): number {
    return this.#count;
  }

  /** Puts an object on the list, in the caller's transaction. One that is on it stays as it is. */
  add({ digest, uploadId, r2UploadId }: UnusedObject, dueMs: number): void {
    this.#storage.sql.exec(
      `INSERT INTO deletions (upload_id, digest_function, hash, size_bytes, r2_upload_id, due_ms, failures)
       VALUES (?, ?, unhex(?), ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
      uploadId,
      ...digestBindings(digest),
      r2UploadId ?? null,
      dueMs,
    );
    this.#count += 1;
    this.#dueMs = Math.min(this.#dueMs, dueMs);
  }

  /**
   * Puts the objects of blobs on the list that are about to be removed from the index, in the caller's transaction.
   * @param blobs a query for upload_id (null for blobs without an object), digest_function, hash, size_bytes, whose ?1 is
   * `parameter`
   */
  addIndexed(blobs: string, parameter: string, dueMs: number): void {
    const { rowsWritten } = this.#storage.sql.exec(
      `INSERT INTO deletions (upload_id, digest_function, hash, size_bytes, due_ms, failures)
       SELECT *, ?2, 0 FROM (${blobs}) WHERE upload_id IS NOT NULL ON CONFLICT DO NOTHING`,
      parameter,
      dueMs,
    );
    this.#count += rowsWritten;
    if (rowsWritten > 0) this.#dueMs = Math.min(this.#dueMs, dueMs);
  }

  /**
   * Takes an object off the list, in the caller's transaction: from now on something refers to it.
   * @returns false if it was not on the list; then it is deleted, or may be any moment
   */
  cancel(uploadId: string): boolean {
    const removed = this.#storage.sql.exec("DELETE FROM deletions WHERE upload_id = ? RETURNING 1", uploadId);
    return removed.toArray().length > 0;
  }

  has(uploadId: string): boolean {
    return this.#storage.sql.exec("SELECT 1 FROM deletions WHERE upload_id = ?", uploadId).toArray().length > 0;
  }

  /** Deletes from R2 what is due. What can't be deleted stays on the list, and is tried again later. */
  async step(nowMs: number): Promise<void> {
    const due = this.#takeDue(nowMs);
    const aborted = await mapBounded(due, MAX_R2_OPERATIONS, async (deletion) => this.#abort(deletion));
    const deletable = due.filter((_, position) => aborted[position]);
    const deleted = await this.#delete(deletable);
    const failed = due.filter((deletion) => !deleted.has(deletion));
    this.#storage.transactionSync(() => {
      const { sql } = this.#storage;
      sql.exec("DELETE FROM deletions WHERE upload_id IN (SELECT value FROM json_each(?))", uploadIds([...deleted]));
      sql.exec(
        `UPDATE deletions SET failures = failures + 1, due_ms = ? + min(? << failures, ?)
         WHERE upload_id IN (SELECT value FROM json_each(?))`,
        nowMs,
        FIRST_RETRY_MS,
        LONGEST_RETRY_MS,
        uploadIds(failed),
      );
    });
    this.#counters.add({ deletedObjects: deleted.size });
    this.#look();
  }

  #takeDue(nowMs: number): DueDeletion[] {
    const rows = this.#storage.sql
      .exec<{
        upload_id: string;
        digest_function: number;
        hash: string;
        size_bytes: number;
        r2_upload_id: string | null;
        indexed: number;
      }>(
        `SELECT d.upload_id, digest_function, lower(hex(hash)) AS hash, size_bytes, r2_upload_id,
                b.upload_id IS d.upload_id AS indexed
         FROM deletions AS d LEFT JOIN blobs AS b USING (digest_function, hash, size_bytes)
         WHERE due_ms <= ? LIMIT ?`,
        nowMs,
        MAX_DELETIONS_PER_STEP,
      )
      .toArray();
    return rows.flatMap((row) => {
      const digest = digestOfKey({ digestFunction: row.digest_function, hash: row.hash, sizeBytes: row.size_bytes });
      const deletion = { digest, uploadId: row.upload_id, r2UploadId: row.r2_upload_id ?? undefined };
      if (row.indexed === 0) return [deletion];
      // It can't be. But should it, then losing the order to delete costs some storage, and following it loses a blob.
      log.error(
        { digest: digestKey(digest), uploadId: row.upload_id },
        "an indexed object was to be deleted; it stays",
      );
      this.#storage.sql.exec("DELETE FROM deletions WHERE upload_id = ?", row.upload_id);
      return [];
    });
  }

  /** Ends the multipart upload, if there may be one, so that it can't become an object any more. */
  async #abort({ digest, uploadId, r2UploadId }: DueDeletion): Promise<boolean> {
    if (r2UploadId === undefined) return true;
    try {
      await this.#objects().abortMultipart(digest, uploadId, r2UploadId);
      return true;
    } catch (error) {
      // It was completed or aborted before.
      if (error instanceof NoSuchUploadError) return true;
      log.warn({ digest: digestKey(digest), uploadId, error }, "an upload could not be aborted; it is tried again");
      return false;
    }
  }

  async #delete(deletions: readonly DueDeletion[]): Promise<ReadonlySet<DueDeletion>> {
    if (deletions.length === 0) return new Set();
    try {
      await this.#objects().deleteMany(deletions);
      return new Set(deletions);
    } catch (error) {
      log.warn({ objects: deletions.length, error }, "objects could not be deleted together; each is tried by itself");
    }
    const deleted = new Set<DueDeletion>();
    await mapBounded(deletions, MAX_R2_OPERATIONS, async (deletion) => {
      const { digest, uploadId } = deletion;
      try {
        await this.#objects().delete(digest, uploadId);
        deleted.add(deletion);
      } catch (error) {
        log.warn({ digest: digestKey(digest), uploadId, error }, "an object could not be deleted; it is tried again");
      }
    });
    return deleted;
  }

  /** Reads how long the list is, and when its first is due. It has no index by that, which would be billed. */
  #look(): void {
    const query = "SELECT count(*) AS count, min(due_ms) AS dueMs FROM deletions";
    const { count, dueMs } = this.#storage.sql.exec<{ count: number; dueMs: number | null }>(query).one();
    this.#count = count;
    this.#dueMs = dueMs ?? Infinity;
  }
}

function uploadIds(deletions: readonly DueDeletion[]): string {
  return JSON.stringify(deletions.map(({ uploadId }) => uploadId));
}
