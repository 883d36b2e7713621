import type { Chore, ChoreContext } from "./chore.ts";
import { discardUpload } from "./uploads.ts";

const MAX_UPLOADS_PER_STEP = 100;

/** An upload that began long ago and goes on is looked at again after this share of the limit. */
const NEXT_LOOK = 1 / 24;

/** Gives up uploads of which no part has come for `abandoned_upload_s`: they end, and what R2 has of them is removed. */
export class AbandonedUploads implements Chore {
  readonly name = "abandoned uploads";
  readonly #context: ChoreContext;
  #oldestBeganMs: number;
  #notBeforeMs = 0;

  constructor(context: ChoreContext) {
    this.#context = context;
    this.#oldestBeganMs = this.#readOldest();
  }

  /** An upload has begun. */
  began(nowMs: number): void {
    this.#oldestBeganMs = Math.min(this.#oldestBeganMs, nowMs);
  }

  dueMs(): number {
    return Math.max(this.#oldestBeganMs + (this.#context.policy()?.abandonedUploadMs ?? Infinity), this.#notBeforeMs);
  }

  step(nowMs: number): void {
    const { counters, deletions, policy, storage } = this.#context;
    const limitMs = policy()?.abandonedUploadMs;
    if (limitMs === undefined) return;
    const abandoned = storage.sql
      .exec<{
        instance: string;
        clientUploadId: string;
        digestFunction: number;
        hash: string;
        sizeBytes: number;
        uploadId: string;
        r2UploadId: string;
      }>(
        `SELECT instance, client_upload_id AS clientUploadId, digest_function AS digestFunction,
                lower(hex(hash)) AS hash, size_bytes AS sizeBytes, upload_id AS uploadId, r2_upload_id AS r2UploadId
         FROM uploads AS u
         WHERE began_ms < ?1
           AND NOT EXISTS (SELECT 1 FROM upload_parts AS p WHERE p.upload_id = u.upload_id AND p.stored_ms >= ?1)
         LIMIT ?2`,
        nowMs - limitMs,
        MAX_UPLOADS_PER_STEP,
      )
      .toArray();
    for (const { instance, clientUploadId, digestFunction, hash, sizeBytes, ...session } of abandoned) {
      const key = { instance, clientUploadId, digest: { digestFunction, hash, sizeBytes } };
      storage.transactionSync(() => {
        discardUpload(storage.sql, deletions, key, session, nowMs);
      });
    }
    counters.add({ abandonedUploads: abandoned.length });
    this.#oldestBeganMs = this.#readOldest();
    this.#notBeforeMs = abandoned.length === MAX_UPLOADS_PER_STEP ? 0 : nowMs + limitMs * NEXT_LOOK;
  }

  #readOldest(): number {
    const query = "SELECT min(began_ms) AS oldest FROM uploads";
    return this.#context.storage.sql.exec<{ oldest: number | null }>(query).one().oldest ?? Infinity;
  }
}
