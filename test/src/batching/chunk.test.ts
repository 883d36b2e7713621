import fc from "fast-check";
import { expect, test } from "vitest";
import { chunk, chunkBySize } from "../../../src/batching/chunk.ts";

test("runs hold every item in order and stay within the limit, unless one item alone is above it", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100)), fc.integer({ min: 1, max: 120 }), (items, maxSize) => {
      const runs = chunkBySize(items, (item) => item, maxSize);
      expect(runs.flat()).toEqual(items);
      for (const run of runs) {
        expect(run.length).toBeGreaterThan(0);
        const size = run.reduce((sum, item) => sum + item, 0);
        expect(size <= maxSize || run.length === 1).toBe(true);
      }
    }),
  );
});

test("runs are as long as the limit allows", () => {
  expect(chunk([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
  expect(chunkBySize([3, 3, 3, 9, 1], (item) => item, 6)).toEqual([[3, 3], [3], [9], [1]]);
});
