import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { takeMemory, tryTakeMemory } from "../../../src/memory/isolate-memory.ts";

const ALL_BYTES = 48 << 20;

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("what is taken is gone until it is given back, which counts once", () => {
  const release = tryTakeMemory(ALL_BYTES - 10);
  expect(tryTakeMemory(11)).toBeUndefined();
  const rest = tryTakeMemory(10);
  expect(rest).toBeDefined();
  rest?.();
  rest?.();
  expect(tryTakeMemory(11)).toBeUndefined();
  release?.();
  const all = tryTakeMemory(ALL_BYTES);
  expect(all).toBeDefined();
  all?.();
});

test("who wants more than there is waits for the others", async () => {
  const release = await takeMemory(ALL_BYTES);
  const waiting = takeMemory(1);
  await vi.advanceTimersByTimeAsync(1000);
  release();
  await vi.advanceTimersByTimeAsync(1000);
  (await waiting)();
});

test("who waited too long is told to try again", async () => {
  const release = await takeMemory(ALL_BYTES);
  const refused = expect(takeMemory(1)).rejects.toSatisfy(
    (error) => error instanceof ConnectError && error.code === Code.Unavailable,
  );
  await vi.advanceTimersByTimeAsync(20_000);
  await refused;
  release();
});

test("one owner gets no more than its share, and others get theirs all the same", () => {
  const [mine, others] = [tryTakeMemory(40 << 20, "greedy"), tryTakeMemory(8 << 20, "modest")];
  expect(mine).toBeDefined();
  expect(others).toBeDefined();
  expect(tryTakeMemory(1, "greedy")).toBeUndefined();
  mine?.();
  const again = tryTakeMemory(40 << 20, "greedy");
  expect(again).toBeDefined();
  for (const release of [again, others]) release?.();
});
