import fc from "fast-check";
import { expect, test } from "vitest";
import { partSizeFor } from "../../../src/blob-store/part-size.ts";

test("no blob has more parts than R2 takes, nor larger ones than that needs", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 43 }), (sizeBytes) => {
      const partBytes = partSizeFor(sizeBytes);
      expect(partBytes % (1 << 20)).toBe(0);
      expect(Math.ceil(sizeBytes / partBytes)).toBeLessThanOrEqual(10_000);
      const smaller = partBytes - (1 << 20);
      expect(smaller < 8 << 20 || Math.ceil(sizeBytes / smaller) > 10_000).toBe(true);
    }),
  );
});

test("clients that cut their requests at multiples of 8 MiB lose nothing, up to 78 GiB", () => {
  expect(partSizeFor(8 * 2 ** 20 * 10_000)).toBe(8 << 20);
  expect(partSizeFor(8 * 2 ** 20 * 10_000 + 1)).toBe(9 << 20);
});
