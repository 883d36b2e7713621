import { priceOf, type Bill } from "./bill.ts";
import { type Counts, noCounts } from "./counts.ts";

/**
 * What the platform counts for one executed action that puts out nothing, from Execute to the end of what is kept of it: as
 * `npm run bench -- execute-noop` measured it in November 2026. `objectActiveMs` is
 * that of objects that serve 16 at once.
 */
const EXECUTED: Counts = {
  ...noCounts(),
  workerRequests: 1,
  objectRequests: 5.2,
  socketMessages: 2,
  objectActiveMs: 14,
  rowsRead: 21,
  rowsWritten: 5.3,
};
const EXECUTED_CPU_MS = 6.2;

/** The same for one action that is found in the cache, with three small outputs that are read: `cache-hit`. */
const HIT: Counts = {
  ...noCounts(),
  workerRequests: 1,
  objectRequests: 3.3,
  objectActiveMs: 0.2,
  rowsRead: 14,
};
const HIT_CPU_MS = 1.3;

/** One output that is stored: its row, and where it is too large for that its object in R2 (`execute-io`). */
const OUTPUT: Counts = { ...noCounts(), objectRequests: 1.4, rowsRead: 2.2, rowsWritten: 1 };
const OUTPUT_CPU_MS = 2.6;

/** What a build has used. */
export interface BuildUsage {
  readonly executed: number;
  readonly cacheHits: number;
  /** Outputs that were stored. */
  readonly outputs: number;
  /** Those of them that are larger than what is kept in a row. */
  readonly largeOutputs: number;
}

/** What a build has cost, by the prices of prices.ts: an estimate, since what is billed is counted by the platform alone. */
export function buildBill({ cacheHits, executed, largeOutputs, outputs }: BuildUsage): Bill {
  const counts = noCounts();
  const add = (unit: Counts, times: number) => {
    counts.workerRequests += unit.workerRequests * times;
    counts.objectRequests += unit.objectRequests * times;
    counts.socketMessages += unit.socketMessages * times;
    counts.objectActiveMs += unit.objectActiveMs * times;
    counts.rowsRead += unit.rowsRead * times;
    counts.rowsWritten += unit.rowsWritten * times;
  };
  add(EXECUTED, executed);
  add(HIT, cacheHits);
  add(OUTPUT, outputs);
  counts.r2ClassA += largeOutputs;
  return priceOf(counts, executed * EXECUTED_CPU_MS + cacheHits * HIT_CPU_MS + outputs * OUTPUT_CPU_MS, 1);
}
