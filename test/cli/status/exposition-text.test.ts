import fc from "fast-check";
import { expect, it } from "vitest";
import { parseExposition } from "../../../cli/status/exposition-text.ts";
import { exposition } from "../../../src/metrics/exposition.ts";

it("what the Worker writes is read as it was", () => {
  // -0 is written as 0.
  const values = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), values, (label, value) => {
      const text = exposition([
        { name: "remex_a_total", help: "A\nhelp", type: "counter", samples: [{ labels: { label }, value }] },
        { name: "remex_b", help: "B", type: "gauge", samples: [{ labels: {}, value: 1 }] },
      ]);
      expect(parseExposition(text)).toEqual([
        { name: "remex_a_total", labels: { label }, value },
        { name: "remex_b", labels: {}, value: 1 },
      ]);
    }),
  );
});

it("a histogram is its buckets, its sum and its count", () => {
  const text = exposition([
    {
      name: "remex_c_seconds",
      help: "C",
      type: "histogram",
      samples: [{ labels: {}, bounds: [1], counts: [2, 3], sum: 4 }],
    },
  ]);
  expect(parseExposition(text)).toEqual([
    { name: "remex_c_seconds_bucket", labels: { le: "1" }, value: 2 },
    { name: "remex_c_seconds_bucket", labels: { le: "+Inf" }, value: 5 },
    { name: "remex_c_seconds_sum", labels: {}, value: 4 },
    { name: "remex_c_seconds_count", labels: {}, value: 5 },
  ]);
});

it("what is no value is passed over", () => {
  expect(parseExposition("# HELP a b\n\n<html>\na {} 1\na b\n")).toEqual([]);
});
