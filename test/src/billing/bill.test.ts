import { describe, expect, it } from "vitest";
import { priceOf } from "../../../src/billing/bill.ts";
import { addCounts, countsBetween, noCounts } from "../../../src/billing/counts.ts";

describe("priceOf", () => {
  it("prices one of each as it is published for a million", () => {
    const bill = priceOf(
      {
        ...noCounts(),
        workerRequests: 1,
        objectRequests: 1,
        socketMessages: 20,
        rowsRead: 1,
        rowsWritten: 1,
        r2ClassA: 1,
        r2ClassB: 1,
      },
      1,
      1,
    );

    expect(bill.lines.map(({ item, usdPerMillion }) => [item, Number(usdPerMillion.toPrecision(6))])).toEqual([
      ["Worker requests", 0.3],
      ["Worker CPU, ms", 0.02],
      ["object requests", 0.15],
      ["socket messages", 0.15],
      ["object active, ms", 0],
      ["rows read", 0.001],
      ["rows written", 1],
      ["R2 class A", 4.5],
      ["R2 class B", 0.36],
    ]);
    expect(bill.usdPerMillion).toBeCloseTo(6.481, 10);
  });

  it("prices an object that is active for 1,000 s at 128 GB-s", () => {
    const { usdPerMillion } = priceOf({ ...noCounts(), objectActiveMs: 1_000_000 }, 0, 1_000_000);

    expect(usdPerMillion).toBeCloseTo((128 * 12.5) / 1e6, 10);
  });

  it("divides by the units, and prices what is kept apart", () => {
    const bill = priceOf({ ...noCounts(), r2ClassA: 10, r2StoredBytes: 10 * 1024 }, undefined, 10);

    expect(bill.usdPerMillion).toBeCloseTo(4.5, 10);
    expect(bill.storageUsdPerMillionMonths).toBeCloseTo(1.024 * 0.015, 10);
  });
});

describe("counts", () => {
  it("are added and subtracted name by name", () => {
    const a = { ...noCounts(), rowsRead: 5, r2ClassB: 2 };
    const b = { ...noCounts(), rowsRead: 7, r2ClassB: 2, workerRequests: 1 };

    expect(countsBetween(a, b)).toEqual({ ...noCounts(), rowsRead: 2, workerRequests: 1 });
    expect(addCounts(a, b)).toEqual({ ...noCounts(), rowsRead: 12, r2ClassB: 4, workerRequests: 1 });
  });
});
