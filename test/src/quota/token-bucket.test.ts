import fc from "fast-check";
import { expect, test } from "vitest";
import { type Bucket, takeFrom } from "../../../src/quota/token-bucket.ts";

const bucket = fc.record({
  amount: fc.integer({ min: 1, max: 1_000_000 }),
  periodMs: fc.constantFrom(60_000, 3_600_000),
});

/** Takes one after another, each some time after the last. */
const spending = bucket.chain((of) =>
  fc.record({
    bucket: fc.constant<Bucket>(of),
    takes: fc.array(
      fc.record({
        afterMs: fc.integer({ min: 0, max: of.periodMs }),
        wanted: fc.integer({ min: 1, max: of.amount }),
        inAdvance: fc.integer({ min: 0, max: of.amount }),
      }),
      { maxLength: 50 },
    ),
  }),
);

test("of no stretch of time is more taken than the bucket held and got back in it", () => {
  fc.assert(
    fc.property(spending, ({ bucket: of, takes }) => {
      let fullAtMs = 0;
      let nowMs = 1_000_000;
      const granted: { atMs: number; amount: number }[] = [];
      for (const { afterMs, inAdvance, wanted } of takes) {
        nowMs += afterMs;
        const taken = takeFrom(of, fullAtMs, nowMs, wanted, inAdvance);
        if (!("fullAtMs" in taken)) continue;
        fullAtMs = taken.fullAtMs;
        granted.push({ atMs: nowMs, amount: taken.granted });
      }
      for (const [start, first] of granted.entries()) {
        let sum = 0;
        for (const { amount, atMs } of granted.slice(start)) {
          sum += amount;
          const cameBack = (of.amount * (atMs - first.atMs)) / of.periodMs;
          expect(sum).toBeLessThanOrEqual(of.amount + cameBack + 1e-3);
        }
      }
    }),
  );
});

test("grants are what is wanted or more, never a part of it", () => {
  fc.assert(
    fc.property(spending, ({ bucket: of, takes }) => {
      let fullAtMs = 0;
      let nowMs = 1_000_000;
      for (const { afterMs, inAdvance, wanted } of takes) {
        nowMs += afterMs;
        const taken = takeFrom(of, fullAtMs, nowMs, wanted, inAdvance);
        if ("fullAtMs" in taken) {
          fullAtMs = taken.fullAtMs;
          expect(taken.granted).toBeGreaterThanOrEqual(wanted);
          expect(taken.granted).toBeLessThanOrEqual(wanted + inAdvance);
        }
      }
    }),
  );
});

test("who waits as long as a refusal says gets what was refused, and not much earlier", () => {
  fc.assert(
    fc.property(bucket, fc.nat(), fc.nat(), (of, spent, again) => {
      const first = takeFrom(of, 0, 1_000_000, 1 + (spent % of.amount), 0);
      if (!("fullAtMs" in first)) throw new Error("a full bucket grants all that it can hold");
      const wanted = 1 + (again % of.amount);
      const second = takeFrom(of, first.fullAtMs, 1_000_000, wanted, 0);
      if ("fullAtMs" in second) return;
      const { retryAfterMs } = second;
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(takeFrom(of, first.fullAtMs, 1_000_000 + retryAfterMs, wanted, 0).granted).toBe(wanted);
      // Rounding lets it have a millionth of a unit too much.
      const tooEarlyMs = 2 + (of.periodMs / of.amount) * 1e-6;
      if (retryAfterMs > tooEarlyMs) {
        expect(takeFrom(of, first.fullAtMs, 1_000_000 + retryAfterMs - tooEarlyMs, wanted, 0).granted).toBe(0);
      }
    }),
  );
});

test("what is taken in advance is a small part of what there is", () => {
  expect(takeFrom({ amount: 800, periodMs: 60_000 }, 0, 0, 1, 1000)).toMatchObject({ granted: 100 });
  expect(takeFrom({ amount: 800, periodMs: 60_000 }, 0, 0, 1, 10)).toMatchObject({ granted: 11 });
  // Where little is left, each takes what it needs.
  expect(takeFrom({ amount: 800, periodMs: 60_000 }, 59_500, 0, 1, 10)).toMatchObject({ granted: 1 });
});
