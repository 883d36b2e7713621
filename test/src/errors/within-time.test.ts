import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { withinTime } from "../../../src/errors/within-time.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("what comes in time is passed on, errors too, and no timer stays", async () => {
  expect(await withinTime(Promise.resolve(3), () => "a step")).toBe(3);
  await expect(withinTime(Promise.reject(new Error("bad")), () => "a step")).rejects.toThrow("bad");
  expect(vi.getTimerCount()).toBe(0);
});

test("what stands still is UNAVAILABLE", async () => {
  const refused = expect(withinTime(new Promise(() => undefined), () => "a step")).rejects.toSatisfy(
    (error) =>
      error instanceof ConnectError &&
      error.code === Code.Unavailable &&
      error.rawMessage === "a step took more than 60 s; try again",
  );
  await vi.advanceTimersByTimeAsync(60_000);
  await refused;
});
