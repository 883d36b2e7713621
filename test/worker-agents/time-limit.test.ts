import { expect, it } from "vitest";
import { TimeLimitExceeded, withTimeLimit } from "../../worker-agents/time-limit.ts";

const never = new AbortController().signal;

/** Never ends, and does not listen. */
const deaf = (): Promise<never> => new Promise(() => undefined);

it("a task that does not listen is left to itself after its limit", async () => {
  await expect(withTimeLimit(1, never, deaf, 1)).rejects.toThrow(TimeLimitExceeded);
  const stop = new AbortController();
  const stopped = withTimeLimit(60_000, stop.signal, deaf, 1);
  stop.abort(new Error("not wanted"));
  await expect(stopped).rejects.toThrow("not wanted");
});

it("a task that ends in time has its result, and one that fails its own error", async () => {
  expect(await withTimeLimit(60_000, never, () => Promise.resolve(1))).toBe(1);
  const failure = withTimeLimit(60_000, never, () => Promise.reject(new Error("own")));
  await expect(failure).rejects.toThrow("own");
});
