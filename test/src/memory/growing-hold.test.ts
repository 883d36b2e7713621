import { expect, test } from "vitest";
import { GrowingHold } from "../../../src/memory/growing-hold.ts";
import { tryTakeMemory } from "../../../src/memory/isolate-memory.ts";

const ALL_BYTES = 48 << 20;

test("what is small counts for nothing, and what is large for what it has beyond that", () => {
  const hold = new GrowingHold("caller", 100);
  expect(hold.grow(60)).toBeUndefined();
  expect(hold.grow(40)).toBeUndefined();
  expect(tryTakeMemory(ALL_BYTES)).toSatisfy((release: (() => void) | undefined) => {
    release?.();
    return release !== undefined;
  });
  expect(hold.grow(30)).toBeUndefined();
  expect(tryTakeMemory(ALL_BYTES - 29)).toBeUndefined();
  hold.release();
  const all = tryTakeMemory(ALL_BYTES);
  expect(all).toBeDefined();
  all?.();
});
