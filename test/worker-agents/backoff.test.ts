import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffMs } from "../../worker-agents/backoff.ts";

const policy = { baseMs: 100, maxMs: 5_000 };

describe("backoff", () => {
  it("doubles up to its limit", () => {
    expect([1, 2, 3, 6, 7, 100].map((attempt) => backoffMs(policy, attempt, () => 0))).toEqual([
      ...[100, 200, 400, 3_200],
      ...[5_000, 5_000],
    ]);
  });

  it("is never less than half of that, nor more", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, random) => {
          const full = backoffMs(policy, attempt, () => 0);
          const some = backoffMs(policy, attempt, () => random);
          expect(some).toBeLessThanOrEqual(full);
          expect(some).toBeGreaterThan(full / 2 - 1e-9);
        },
      ),
    );
  });
});
