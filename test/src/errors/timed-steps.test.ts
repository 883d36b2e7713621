import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TimedSteps } from "../../../src/errors/timed-steps.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const LIMIT_MS = 1000;
const newSteps = () => new TimedSteps(LIMIT_MS, () => new ConnectError("too long", Code.Unavailable));
const NEVER = new Promise<never>(() => undefined);

test("what comes in time is passed on, errors too, by one timer for all", async () => {
  const steps = newSteps();
  expect(await steps.within(Promise.resolve(3))).toBe(3);
  await expect(steps.within(Promise.reject(new Error("bad")))).rejects.toThrow("bad");
  expect(await steps.within(Promise.resolve(4))).toBe(4);
  expect(vi.getTimerCount()).toBe(1);
  steps.end();
  expect(vi.getTimerCount()).toBe(0);
});

test("each step has all the time, however long those before it took", async () => {
  const steps = newSteps();
  for (let i = 0; i < 5; i++) {
    const { promise, resolve } = Promise.withResolvers<number>();
    const step = steps.within(promise);
    await vi.advanceTimersByTimeAsync(LIMIT_MS - 1);
    resolve(i);
    expect(await step).toBe(i);
  }
});

test("a step that stands still has failed after its time, not that of the first", async () => {
  const steps = newSteps();
  await steps.within(Promise.resolve());
  await vi.advanceTimersByTimeAsync(LIMIT_MS - 100);
  let failed = false;
  const step = steps.within(NEVER).catch((error: unknown) => {
    failed = true;
    return error;
  });
  await vi.advanceTimersByTimeAsync(LIMIT_MS - 1);
  expect(failed).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(await step).toMatchObject({ code: Code.Unavailable, rawMessage: "too long" });
});

test("no timer runs on between steps for longer than one may take", async () => {
  const steps = newSteps();
  await steps.within(Promise.resolve());
  await vi.advanceTimersByTimeAsync(LIMIT_MS);
  expect(vi.getTimerCount()).toBe(0);
  const step = expect(steps.within(NEVER)).rejects.toThrow("too long");
  await vi.advanceTimersByTimeAsync(LIMIT_MS);
  await step;
});

test("after the end the step that is waited for still has its limit", async () => {
  const steps = newSteps();
  const step = expect(steps.within(NEVER)).rejects.toThrow("too long");
  steps.end();
  await vi.advanceTimersByTimeAsync(LIMIT_MS);
  await step;
  expect(vi.getTimerCount()).toBe(0);
});
