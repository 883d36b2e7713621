import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { median, quantile } from "../../../bench/load/quantile.ts";

const samples = fc
  .array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 })
  .map((values) => Float64Array.from(values).sort());
const share = fc.double({ min: 0, max: 1, noNaN: true });

describe("quantile", () => {
  it.each([
    // As R's quantile(x, q) gives them.
    { of: [1, 2, 3, 4], q: 0.5, is: 2.5 },
    { of: [1, 2, 3, 4], q: 0.9, is: 3.7 },
    { of: [10, 20, 30, 40, 50], q: 0.25, is: 20 },
    { of: [10, 20, 30, 40, 50], q: 0.99, is: 49.6 },
    { of: [7], q: 0.99, is: 7 },
  ])("of $of at $q is $is", ({ of, q, is }) => {
    expect(quantile(Float64Array.from(of), q)).toBeCloseTo(is, 10);
  });

  it("of nothing is not a number", () => {
    expect(quantile(new Float64Array(), 0.5)).toBeNaN();
  });

  it("lies among the samples, and grows with the share", () => {
    fc.assert(
      fc.property(samples, share, share, (sorted, a, b) => {
        const [low, high] = [quantile(sorted, Math.min(a, b)), quantile(sorted, Math.max(a, b))];
        expect(low).toBeGreaterThanOrEqual(sorted[0] ?? NaN);
        expect(high).toBeLessThanOrEqual(sorted.at(-1) ?? NaN);
        expect(high).toBeGreaterThanOrEqual(low);
      }),
    );
  });

  it("has so many samples below it as its share says", () => {
    fc.assert(
      fc.property(samples, share, (sorted, q) => {
        const below = sorted.filter((value) => value < quantile(sorted, q)).length;
        expect(below).toBeLessThanOrEqual(q * (sorted.length - 1) + 1);
      }),
    );
  });
});

describe("median", () => {
  it("does not ask for an order", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1])).toBe(2.5);
  });
});
