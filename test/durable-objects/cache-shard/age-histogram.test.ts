import fc from "fast-check";
import { expect, test } from "vitest";
import { AgeHistogram } from "../../../durable-objects/cache-shard/age-histogram.ts";

const entries = fc.array(fc.record({ atMs: fc.nat(10 ** 13), bytes: fc.integer({ min: 1, max: 10 ** 9 }) }), {
  minLength: 1,
  maxLength: 200,
});

function histogramOf(used: readonly { readonly atMs: number; readonly bytes: number }[]): AgeHistogram {
  const histogram = new AgeHistogram();
  for (const { atMs, bytes } of used) histogram.add(atMs, bytes);
  return histogram;
}

const bytesBefore = (used: readonly { atMs: number; bytes: number }[], ms: number) =>
  used.filter(({ atMs }) => atMs < ms).reduce((sum, { bytes }) => sum + bytes, 0);

test("what was used before the cutoff is enough, and nothing later would be needed", () => {
  fc.assert(
    fc.property(entries, fc.double({ min: 0, max: 1, noNaN: true }), (used, share) => {
      const total = bytesBefore(used, Infinity);
      const wanted = Math.ceil(total * share);
      const cutoffMs = histogramOf(used).cutoffMs(wanted);
      if (cutoffMs === undefined) throw new Error("there is something");
      expect(bytesBefore(used, cutoffMs)).toBeGreaterThanOrEqual(wanted);
      // It is the earliest such time: exact, since there are few different ones.
      expect(bytesBefore(used, cutoffMs - 1)).toBeLessThan(Math.max(wanted, 1));
    }),
  );
});

test("if all is not enough, the cutoff is after all; if there is nothing, there is none", () => {
  expect(histogramOf([{ atMs: 7, bytes: 10 }]).cutoffMs(11)).toBe(8);
  expect(new AgeHistogram().cutoffMs(1)).toBeUndefined();
});

test("many different times cost resolution, not memory: a year is told apart to some hours", () => {
  const hourMs = 3_600_000;
  const used = Array.from({ length: 365 * 24 }, (_, hour) => ({ atMs: hour * hourMs + (hour % 7), bytes: 1 }));
  const cutoffMs = histogramOf(used).cutoffMs(1000) ?? 0;
  expect(cutoffMs).toBeGreaterThan(999 * hourMs);
  expect(cutoffMs).toBeLessThan(1008 * hourMs);
});
