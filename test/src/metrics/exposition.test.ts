import { expect, test } from "vitest";
import { exposition } from "../../../src/metrics/exposition.ts";

test("gauges and counters, with labels escaped", () => {
  const text = exposition([
    {
      name: "remex_things",
      help: "Things.",
      type: "gauge",
      samples: [
        { labels: {}, value: 1.5 },
        { labels: { name: 'a "b"\\\n' }, value: 0 },
      ],
    },
  ]);
  expect(text).toBe(
    "# HELP remex_things Things.\n# TYPE remex_things gauge\nremex_things 1.5\n" +
      'remex_things{name="a \\"b\\"\\\\\\n"} 0\n',
  );
});

test("a histogram's buckets are cumulative and end in +Inf", () => {
  const sample = { labels: { instance: "main" }, bounds: [0.1, 1], counts: [2, 0, 3], sum: 12 };
  const text = exposition([{ name: "d_seconds", help: "D.", type: "histogram", samples: [sample] }]);
  expect(text.split("\n").slice(2)).toEqual([
    'd_seconds_bucket{instance="main",le="0.1"} 2',
    'd_seconds_bucket{instance="main",le="1"} 2',
    'd_seconds_bucket{instance="main",le="+Inf"} 5',
    'd_seconds_sum{instance="main"} 12',
    'd_seconds_count{instance="main"} 5',
    "",
  ]);
});
