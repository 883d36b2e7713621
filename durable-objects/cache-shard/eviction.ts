import { MOST_CACHE_PRIORITY } from "../../src/limits.ts";
import { log } from "../../src/log.ts";
import { removeActionResults } from "./action-results.ts";
import { AgeHistogram } from "./age-histogram.ts";
import { removeBlobs } from "./blobs.ts";
import type { Chore, ChoreContext } from "./chore.ts";
import { DELETION_GRACE_MS } from "./deletions.ts";
import { type ActionResultRow, type BlobRow, IndexWalk } from "./index-pages.ts";
import type { ShardPolicy } from "./policy.ts";

/** Reading so many rows takes some milliseconds. */
const SURVEYED_ROWS_PER_STEP = 4000;
const WALKED_ROWS_PER_STEP = 2000;

/** Eviction goes on until so much of the limit is in use, so that a full store isn't surveyed for each blob that comes. */
const LOW_WATER = 0.95;

/** How soon a store is surveyed again in which too little was old enough. */
const PAUSE_MS = 60_000;

/** How much longer than others an action result stays for each step that its ResultsCachePolicy.priority is lower. */
const PRIORITY_STEP_MS = 3_600_000;

/** While so many objects wait to be deleted, no more are evicted. */
const MOST_DELETIONS = 50_000;

/**
 * What can be evicted. The order is by last use, but for action results whose priority says that they matter more or less
 * than others: these count as if they had been used so much later or earlier.
 */
interface Candidate {
  readonly lastAccessMs: number;
  readonly rankMs: number;
  readonly bytes: number;
}

/** Finding out what was used longest ago. */
interface Survey {
  readonly doing: "survey";
  readonly walk: IndexWalk;
  /** The ranks of what is old enough to be evicted: what was last used before `oldEnoughMs`. */
  readonly ages: AgeHistogram;
  readonly oldEnoughMs: number;
  /** When the oldest of the others was last used. */
  nextOldestMs: number;
}

/** Evicting what is old enough and has a rank before `cutoffMs`. */
interface Sweep {
  readonly doing: "sweep";
  readonly walk: IndexWalk;
  readonly oldEnoughMs: number;
  readonly cutoffMs: number;
  readonly bytesBefore: number;
}

/**
 * Keeps the shard below its share of the store's `max_bytes`: blobs and action results go that were used longest ago, and
 * none that was used within `min_age_s`.
 *
 * There is no index by last use. It would be one more row written, and billed, for each blob that comes and for each use
 * that is recorded, and recorded uses may be `touch_interval_s` older than the real ones anyway. Instead, when the limit is
 * reached, one walk over the rows finds the time before which enough was last used, and a second evicts what was not used
 * again since. Both are done in short steps, with nothing kept but where they are: killed, they begin anew.
 */
export class Eviction implements Chore {
  readonly name = "eviction";
  readonly #context: ChoreContext;
  #stage: Survey | Sweep | undefined;
  #notBeforeMs = 0;

  constructor(context: ChoreContext) {
    this.#context = context;
  }

  dueMs(): number {
    const policy = this.#context.policy();
    if (policy === undefined) return Infinity;
    if (this.#stage === undefined && this.#context.totals.bytes <= policy.maxBytes) return Infinity;
    if (this.#context.deletions.count >= MOST_DELETIONS)
      return Math.max(this.#context.deletions.dueMs(), this.#notBeforeMs);
    return this.#notBeforeMs;
  }

  step(nowMs: number): void {
    const policy = this.#context.policy();
    if (policy === undefined) {
      this.#stage = undefined;
      return;
    }
    this.#stage ??= startSurvey(this.#context.storage.sql, policy, nowMs);
    if (this.#stage.doing === "survey") this.#survey(this.#stage, policy, nowMs);
    else this.#sweep(this.#stage, policy, nowMs);
  }

  #survey(survey: Survey, policy: ShardPolicy, nowMs: number): void {
    const { blobs, actionResults } = survey.walk.next(SURVEYED_ROWS_PER_STEP);
    for (const { lastAccessMs, rankMs, bytes } of [
      ...blobs.map(blobCandidate),
      ...actionResults.map(resultCandidate),
    ]) {
      if (lastAccessMs < survey.oldEnoughMs) survey.ages.add(rankMs, bytes);
      else survey.nextOldestMs = Math.min(survey.nextOldestMs, lastAccessMs);
    }
    if (blobs.length > 0 || actionResults.length > 0) return;

    const cutoffMs = survey.ages.cutoffMs(this.#context.totals.bytes - lowWater(policy));
    if (cutoffMs === undefined) {
      log.warn(
        { bytes: this.#context.totals.bytes, maxBytes: policy.maxBytes },
        "a shard holds more than its share of max_bytes, and all of it was used within min_age_s",
      );
      this.#stage = undefined;
      this.#notBeforeMs = Math.max(nowMs + PAUSE_MS, survey.nextOldestMs + guardedMs(policy));
      return;
    }
    this.#stage = {
      doing: "sweep",
      walk: new IndexWalk(this.#context.storage.sql),
      oldEnoughMs: survey.oldEnoughMs,
      cutoffMs,
      bytesBefore: this.#context.totals.bytes,
    };
  }

  #sweep({ walk, cutoffMs, oldEnoughMs, bytesBefore }: Sweep, policy: ShardPolicy, nowMs: number): void {
    const { blobs, actionResults } = walk.next(WALKED_ROWS_PER_STEP);
    let excess = this.#context.totals.bytes - lowWater(policy);
    const isVictim = ({ lastAccessMs, rankMs, bytes }: Candidate): boolean => {
      if (excess <= 0 || lastAccessMs >= oldEnoughMs || rankMs >= cutoffMs) return false;
      excess -= bytes;
      return true;
    };
    const blobKeys = blobs.filter((row) => isVictim(blobCandidate(row))).map(({ key }) => key);
    const resultKeys = actionResults.filter((row) => isVictim(resultCandidate(row))).map(({ key }) => key);
    this.#evict(blobKeys, resultKeys, nowMs);

    const atEnd = blobs.length === 0 && actionResults.length === 0;
    if (!atEnd && excess > 0) return;
    this.#stage = undefined;
    // Everything was used again since the survey, it seems.
    if (this.#context.totals.bytes >= bytesBefore) this.#notBeforeMs = nowMs + PAUSE_MS;
  }

  #evict(
    blobs: Parameters<typeof removeBlobs>[2],
    actionResults: Parameters<typeof removeActionResults>[1],
    nowMs: number,
  ): void {
    if (blobs.length === 0 && actionResults.length === 0) return;
    const bytesBefore = this.#context.totals.bytes;
    this.#context.totals.transaction(() => {
      const { sql } = this.#context.storage;
      this.#context.totals.add(removeBlobs(sql, this.#context.deletions, blobs, nowMs + DELETION_GRACE_MS));
      this.#context.totals.add(removeActionResults(sql, actionResults));
    });
    this.#context.counters.add({
      evictedBlobs: blobs.length,
      evictedActionResults: actionResults.length,
      evictedBytes: bytesBefore - this.#context.totals.bytes,
    });
  }
}

function blobCandidate({ key, lastAccessMs }: BlobRow): Candidate {
  return { lastAccessMs, rankMs: lastAccessMs, bytes: key.sizeBytes };
}

function resultCandidate({ lastAccessMs, priority, sizeBytes }: ActionResultRow): Candidate {
  const steps = Math.max(-MOST_CACHE_PRIORITY, Math.min(priority, MOST_CACHE_PRIORITY));
  return { lastAccessMs, rankMs: lastAccessMs - steps * PRIORITY_STEP_MS, bytes: sizeBytes };
}

function startSurvey(sql: SqlStorage, policy: ShardPolicy, nowMs: number): Survey {
  return {
    doing: "survey",
    walk: new IndexWalk(sql),
    ages: new AgeHistogram(),
    oldEnoughMs: nowMs - guardedMs(policy),
    nextOldestMs: Infinity,
  };
}

/** What was recorded to be used within this time may really have been used within `min_age_s`. */
function guardedMs({ minAgeMs, touchIntervalMs }: ShardPolicy): number {
  return minAgeMs + touchIntervalMs;
}

function lowWater({ maxBytes }: ShardPolicy): number {
  return maxBytes * LOW_WATER;
}
