import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { takeMemory } from "../../../src/memory/isolate-memory.ts";

const ALL_BYTES = 48 << 20;

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

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
