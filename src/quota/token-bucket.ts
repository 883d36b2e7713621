/** What may be spent in a period. It may be spent at once, and comes back evenly. */
export interface Bucket {
  readonly amount: number;
  readonly periodMs: number;
}

/** A share of what more than one spender takes in advance: so that one alone does not empty what several live on. */
const ADVANCE_SHARE = 1 / 8;

/** Keeps what rounding does to a quotient from costing a whole unit. */
const ROUNDING = 1e-6;

export type Taken =
  /** From now on the bucket is full again at `fullAtMs`: all the state that a bucket has. */
  | { readonly granted: number; readonly fullAtMs: number }
  /** Nothing was taken; if nobody else takes anything, there will be enough after so long. */
  | { readonly granted: 0; readonly retryAfterMs: number };

/**
 * Takes what is wanted, or nothing.
 *
 * @param fullAtMs when the bucket is full again if nothing is taken; any time in the past for a full one
 * @param wanted at least 1 and at most the bucket's amount
 * @param inAdvance how much more is taken where there is plenty
 */
export function takeFrom(
  { amount, periodMs }: Bucket,
  fullAtMs: number,
  nowMs: number,
  wanted: number,
  inAdvance: number,
): Taken {
  const msPerUnit = periodMs / amount;
  const emptyMs = Math.max(fullAtMs - nowMs, 0);
  const available = Math.floor((periodMs - emptyMs) / msPerUnit + ROUNDING);
  if (available < wanted) {
    return { granted: 0, retryAfterMs: Math.max(Math.ceil(emptyMs + wanted * msPerUnit - periodMs), 1) };
  }
  const granted = Math.max(wanted, Math.min(wanted + inAdvance, Math.floor(available * ADVANCE_SHARE)));
  return { granted, fullAtMs: nowMs + emptyMs + granted * msPerUnit };
}
