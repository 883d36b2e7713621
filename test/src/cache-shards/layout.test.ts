import fc from "fast-check";
import { expect, test } from "vitest";
import type { Layout } from "../../../durable-objects/cache-shard/rpc.ts";
import {
  allShards,
  beginChange,
  newLayout,
  nextPhase,
  shardsToRead,
  shardToWrite,
} from "../../../src/cache-shards/layout.ts";
import { shardOf } from "../../../src/cache-shards/shard-map.ts";

const count = fc.integer({ min: 1, max: 256 });
const hash = fc.stringMatching(/^[0-9a-f]{64}$/);

/** The layouts of a whole change, the stable ones before and after it included. */
function layoutsOf(before: number, after: number): [Layout, Layout, Layout, Layout] {
  const first = newLayout(before);
  const preparing = beginChange(first, after);
  const moving = nextPhase(preparing);
  return [first, preparing, moving, nextPhase(moving)];
}

test("what somebody writes by one layout is where everybody looks by it and by its neighbours", () => {
  fc.assert(
    fc.property(count, count, hash, (before, after, hash) => {
      const layouts = layoutsOf(before, after);
      const [first, preparing, moving, last] = layouts;
      const pairs = [
        [first, first],
        // Writers that have not heard of the next layout yet, and readers that have.
        [first, preparing],
        [preparing, preparing],
        [preparing, moving],
        // And the other way round: a writer of the moving phase is seen by a reader that has only heard of the change.
        [moving, preparing],
        [moving, moving],
        [moving, last],
        [last, moving],
        [last, last],
      ] as const;
      for (const [writer, reader] of pairs) {
        expect(shardsToRead(reader, hash)).toContain(shardToWrite(writer, hash));
        expect(allShards(reader)).toContain(shardToWrite(writer, hash));
      }
    }),
  );
});

test("while things move, the shard that they leave is asked first", () => {
  const [, preparing, moving] = layoutsOf(3, 5);
  const hash = "00000003".padEnd(64, "0");
  for (const layout of [preparing, moving]) expect(shardsToRead(layout, hash)).toEqual([0, 3]);
  expect(shardsToRead(moving, "00000001".padEnd(64, "0"))).toEqual([1]);
});

test("each layout has a later epoch than the one before, and the last is stable", () => {
  const layouts = layoutsOf(3, 5);
  expect(layouts.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
  expect(layouts.map(({ phase }) => phase)).toEqual(["stable", "preparing", "moving", "stable"]);
  expect(layouts[3]).toEqual({ epoch: 4, phase: "stable", count: 5, from: 5 });
  expect(nextPhase(layouts[3])).toBe(layouts[3]);
  expect(shardOf("00000004".padEnd(64, "0"), 5)).toBe(shardToWrite(layouts[3], "00000004".padEnd(64, "0")));
});
