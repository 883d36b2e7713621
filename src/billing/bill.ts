import type { Counts } from "./counts.ts";
import { PRICES } from "./prices.ts";

/** What is paid once, in the order of a bill's lines. */
export const PRICED_ITEMS = [
  "Worker requests",
  "Worker CPU, ms",
  "object requests",
  "socket messages",
  "object active, ms",
  "rows read",
  "rows written",
  "R2 class A",
  "R2 class B",
] as const;

export type PricedItem = (typeof PRICED_ITEMS)[number];

/** One line of a bill. */
export interface BillLine {
  readonly item: PricedItem;
  /** Of what is priced, for each operation (or blob). */
  readonly perUnit: number;
  readonly usdPerMillion: number;
}

export interface Bill {
  readonly lines: readonly BillLine[];
  /** Of what is paid once. */
  readonly usdPerMillion: number;
  /** To keep for a month what the million left behind. */
  readonly storageUsdPerMillionMonths: number;
}

/**
 * Prices what `units` operations have used, as dollars for a million of them.
 * @param workerCpuMs of all of them; undefined where it could not be measured, and then it is left out
 */
export function priceOf(counts: Counts, workerCpuMs: number | undefined, units: number): Bill {
  const line = (item: PricedItem, quantity: number, price: number): BillLine => ({
    item,
    perUnit: quantity / units,
    usdPerMillion: (quantity / units) * price * 1e6,
  });
  const lines = [
    line("Worker requests", counts.workerRequests, PRICES.workerRequest),
    line("Worker CPU, ms", workerCpuMs ?? 0, PRICES.workerCpuMs),
    line("object requests", counts.objectRequests, PRICES.objectRequest),
    line("socket messages", counts.socketMessages, PRICES.socketMessage),
    line("object active, ms", counts.objectActiveMs, PRICES.objectActiveMs),
    line("rows read", counts.rowsRead, PRICES.rowRead),
    line("rows written", counts.rowsWritten, PRICES.rowWritten),
    line("R2 class A", counts.r2ClassA, PRICES.r2ClassA),
    line("R2 class B", counts.r2ClassB, PRICES.r2ClassB),
  ];
  const storageUsd = counts.objectStoredBytes * PRICES.objectByteMonth + counts.r2StoredBytes * PRICES.r2ByteMonth;
  return {
    lines,
    usdPerMillion: lines.reduce((sum, { usdPerMillion }) => sum + usdPerMillion, 0),
    storageUsdPerMillionMonths: (storageUsd / units) * 1e6,
  };
}
