import { expect, test } from "vitest";
import { simulate, wholeHistory } from "./simulate.ts";

/** Worlds of all kinds; `npm run simulate` shortens the history of a seed that fails here. */
const SEEDS = Array.from({ length: 11 }, (_, group) =>
  Array.from({ length: 10 }, (_, index) => 10 * group + index + 1),
);
const STEPS = 2000;

test.each(SEEDS.map((seeds) => ({ seeds })))(
  "worlds $seeds.0 to $seeds.9 are lived through without a violation",
  ({ seeds }) => {
    for (const seed of seeds) expect(simulate(seed, wholeHistory(STEPS))).toBeGreaterThan(0);
  },
);

test("a seed makes the same world each time", () => {
  const lived = [1, 2].map(() => {
    const lines: string[] = [];
    simulate(7, wholeHistory(500), (line) => lines.push(line));
    return lines;
  });
  expect(lived[0]).toEqual(lived[1]);
});
