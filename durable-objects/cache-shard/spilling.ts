import { mapBounded } from "../../src/batching/map-bounded.ts";
import { digestKey } from "../../src/digest/digest.ts";
import { log } from "../../src/log.ts";
import { AgeHistogram } from "./age-histogram.ts";
import { inlineBytes, moveToObject } from "./blobs.ts";
import type { Chore, ChoreContext } from "./chore.ts";
import { digestOfKey } from "./digest-key.ts";
import { blobPage, type BlobRow } from "./index-pages.ts";
import type { DigestKey } from "./rpc.ts";

const SURVEYED_ROWS_PER_STEP = 4000;
const WALKED_ROWS_PER_STEP = 1000;

/** A request has six connections; the bytes of those that are under way are in memory, at most 1 MiB each. */
const MAX_R2_OPERATIONS = 6;
const SPILLED_BLOBS_PER_STEP = 60;

/** Spilling goes on until so much of the limit is in use. */
const LOW_WATER = 0.95;

/** A put that takes longer than this is taken for one that failed; its object is removed. */
const PUT_LIMIT_MS = 3_600_000;

interface InlineRow extends BlobRow {
  readonly bytesId: number;
}

/** Finding out which inline blobs were used longest ago, and then moving those that were last used before `cutoffMs`. */
interface Walk {
  after: DigestKey | undefined;
  readonly ages: AgeHistogram;
  cutoffMs: number | undefined;
}

/**
 * Moves the bytes of inline blobs to R2 that were used longest ago, when the rows hold more than the shard's share of
 * `inline_total_bytes`: storage in an object costs a dozen times as much as in R2, and is limited.
 *
 * A blob's object is on the list of deletions from before it is written until the transaction that puts it in the place
 * of the bytes. So whatever is killed when, the blob can be read at any moment, and no object is left behind.
 */
export class Spilling implements Chore {
  readonly name = "spilling";
  readonly #context: ChoreContext;
  #walk: Walk | undefined;

  constructor(context: ChoreContext) {
    this.#context = context;
  }

  dueMs(): number {
    const policy = this.#context.policy();
    if (policy === undefined) return Infinity;
    return this.#walk === undefined && this.#context.totals.now.inlineBytes <= policy.maxInlineBytes ? Infinity : 0;
  }

  async step(nowMs: number): Promise<void> {
    const policy = this.#context.policy();
    if (policy === undefined) {
      this.#walk = undefined;
      return;
    }
    const walk = (this.#walk ??= { after: undefined, ages: new AgeHistogram(), cutoffMs: undefined });
    const excess = this.#context.totals.now.inlineBytes - policy.maxInlineBytes * LOW_WATER;
    if (walk.cutoffMs === undefined) this.#survey(walk, excess);
    else await this.#sweep(walk, walk.cutoffMs, excess, nowMs);
  }

  #survey(walk: Walk, excess: number): void {
    const rows = blobPage(this.#context.storage.sql, walk.after, SURVEYED_ROWS_PER_STEP);
    for (const { bytesId, key, lastAccessMs } of rows) if (bytesId !== null) walk.ages.add(lastAccessMs, key.sizeBytes);
    walk.after = rows.at(-1)?.key;
    if (rows.length > 0) return;
    walk.cutoffMs = walk.ages.cutoffMs(excess);
    if (walk.cutoffMs === undefined) this.#walk = undefined;
  }

  async #sweep(walk: Walk, cutoffMs: number, excess: number, nowMs: number): Promise<void> {
    const rows = blobPage(this.#context.storage.sql, walk.after, WALKED_ROWS_PER_STEP);
    const victims: InlineRow[] = [];
    let remaining = excess;
    for (const row of rows) {
      if (remaining <= 0 || victims.length === SPILLED_BLOBS_PER_STEP) break;
      walk.after = row.key;
      const { bytesId, key, lastAccessMs } = row;
      if (bytesId === null || lastAccessMs >= cutoffMs) continue;
      victims.push({ ...row, bytesId });
      remaining -= key.sizeBytes;
    }
    if (rows.length === 0 || remaining <= 0) this.#walk = undefined;
    await this.#spill(victims, nowMs);
  }

  async #spill(rows: readonly InlineRow[], nowMs: number): Promise<void> {
    const moves = rows.map((row) => ({ row, uploadId: crypto.randomUUID() }));
    this.#context.storage.transactionSync(() => {
      for (const { row, uploadId } of moves) {
        this.#context.deletions.add({ digest: row.key, uploadId }, nowMs + PUT_LIMIT_MS);
      }
    });
    const failures = await mapBounded(moves, MAX_R2_OPERATIONS, async ({ row, uploadId }) => {
      try {
        await this.#move(row, uploadId);
        return [];
      } catch (error) {
        log.warn({ digest: digestKey(digestOfKey(row.key)), error }, "a blob could not be moved to R2; it stays");
        return [error];
      }
    });
    // R2 is out of order, it seems: not to be tried again at once.
    if (moves.length > 0 && failures.flat().length === moves.length) throw failures.flat()[0];
  }

  async #move({ key, bytesId }: InlineRow, uploadId: string): Promise<void> {
    const bytes = inlineBytes(this.#context.storage.sql, key, bytesId);
    if (bytes === undefined) return;
    await this.#context.objects().put(digestOfKey(key), uploadId, bytes);
    this.#context.totals.transaction(() => {
      // Since the step began, a change of the number of shards has: what moves may have been read already.
      if (this.#context.policy() === undefined) return;
      // If it is no longer on the list, its object was deleted meanwhile, or is about to be.
      if (!this.#context.deletions.cancel(uploadId)) return;
      const change = moveToObject(this.#context.storage.sql, key, bytesId, uploadId);
      if (change === undefined) {
        // The blob was evicted meanwhile, or moved by a step before this one.
        this.#context.deletions.add({ digest: key, uploadId }, 0);
        return;
      }
      this.#context.totals.add(change);
      this.#context.counters.add({ spilledBlobs: 1, spilledBytes: key.sizeBytes });
    });
  }
}
