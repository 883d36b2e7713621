import { DurableObject } from "cloudflare:workers";
import type { Env } from "../src/env.ts";
import type { QuotaKind } from "../src/quota/caller-quota.ts";
import { type Bucket, takeFrom } from "../src/quota/token-bucket.ts";
import { AlarmClock } from "./alarm-clock.ts";
import { migrate } from "./migrate.ts";

export interface TakeRequest {
  readonly kind: QuotaKind;
  readonly bucket: Bucket;
  readonly wanted: number;
  readonly inAdvance: number;
}

export interface Grant {
  /** 0 if there isn't as much as was wanted. */
  readonly granted: number;
  /** With 0: when there will be. */
  readonly retryAfterMs?: number;
}

/** How long a full bucket is still kept: the alarm that removes it must not ring all the time while it is used. */
const KEEP_FULL_MS = 3_600_000;

/** The steps that lead from an empty database to the present schema. */
const QUOTA_SCHEMA: readonly string[] = [
  `
  -- A bucket that isn't here is full.
  CREATE TABLE buckets (
    kind TEXT PRIMARY KEY,
    full_at_ms REAL NOT NULL
  ) WITHOUT ROWID;

  CREATE TABLE refusals (count INTEGER NOT NULL);
  `,
];

/**
 * Keeps count of what one account may still use. Isolates take from it in advance, so it is called once for many of a
 * caller's calls; each grant is a row. An account that nobody uses has no row left in the end.
 *
 * Objects of other names count the refusals of a group of accounts, for metrics.
 */
export class Quota extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  readonly #alarm: AlarmClock;

  constructor(context: DurableObjectState, env: Env) {
    super(context, env);
    migrate(context.storage, QUOTA_SCHEMA);
    this.#sql = context.storage.sql;
    this.#alarm = new AlarmClock(context, () => this.#removalMs());
  }

  /** Takes what is wanted or nothing, and some in advance. A grant that doesn't arrive is lost. */
  take({ bucket, inAdvance, kind, wanted }: TakeRequest): Grant {
    const query = "SELECT full_at_ms FROM buckets WHERE kind = ?";
    const [row] = this.#sql.exec<{ full_at_ms: number }>(query, kind).toArray();
    const taken = takeFrom(bucket, row?.full_at_ms ?? 0, Date.now(), wanted, inAdvance);
    if (!("fullAtMs" in taken)) return taken;
    const { fullAtMs, granted } = taken;
    this.#sql.exec("INSERT OR REPLACE INTO buckets (kind, full_at_ms) VALUES (?, ?)", kind, fullAtMs);
    this.#alarm.set(fullAtMs + KEEP_FULL_MS);
    return { granted };
  }

  countRefusals(count: number): void {
    const { rowsWritten } = this.#sql.exec("UPDATE refusals SET count = count + ?", count);
    if (rowsWritten === 0) this.#sql.exec("INSERT INTO refusals (count) VALUES (?)", count);
  }

  refusals(): number {
    const [row] = this.#sql.exec<{ count: number }>("SELECT count FROM refusals").toArray();
    return row?.count ?? 0;
  }

  override alarm(): void {
    this.#alarm.rang();
    this.#sql.exec("DELETE FROM buckets WHERE full_at_ms <= ?", Date.now() - KEEP_FULL_MS);
    this.#alarm.set(this.#removalMs());
  }

  /** When a bucket is to be removed that nobody uses. */
  #removalMs(): number {
    const query = "SELECT min(full_at_ms) AS full_at_ms FROM buckets";
    const [row] = this.#sql.exec<{ full_at_ms: number | null }>(query).toArray();
    return (row?.full_at_ms ?? Infinity) + KEEP_FULL_MS;
  }
}
