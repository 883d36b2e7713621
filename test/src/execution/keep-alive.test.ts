import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { repeatWhileQuiet } from "../../../src/execution/keep-alive.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A source that gives what it is told to, when it is told to. */
function source() {
  const waiting: ((result: IteratorResult<string, void>) => void)[] = [];
  const next = () => new Promise<IteratorResult<string, void>>((resolve) => waiting.push(resolve));
  return {
    iterator: { next },
    give: (value: string) => waiting.shift()?.({ done: false, value }),
    end: () => waiting.shift()?.({ done: true, value: undefined }),
  };
}

test("before its first state a quiet stream says what it is told to", async () => {
  const { iterator, give } = source();
  const stream = repeatWhileQuiet(iterator, () => "nothing yet");
  for (let repeat = 0; repeat < 2; repeat++) {
    const said = stream.next();
    await vi.advanceTimersByTimeAsync(15_000);
    await expect(said).resolves.toEqual({ done: false, value: "nothing yet" });
  }
  const news = stream.next();
  give("queued");
  await expect(news).resolves.toEqual({ done: false, value: "queued" });
});

test("a quiet stream says its last state again within 15 s, for as long as it is quiet (bazel#11782)", async () => {
  const { iterator, give, end } = source();
  const stream = repeatWhileQuiet(iterator);
  const first = stream.next();
  give("queued");
  await expect(first).resolves.toEqual({ done: false, value: "queued" });
  for (let repeat = 0; repeat < 3; repeat++) {
    const again = stream.next();
    await vi.advanceTimersByTimeAsync(15_000);
    await expect(again).resolves.toEqual({ done: false, value: "queued" });
  }
  const news = stream.next();
  give("executing");
  await expect(news).resolves.toEqual({ done: false, value: "executing" });
  const last = stream.next();
  end();
  await expect(last).resolves.toEqual({ done: true, value: undefined });
});

test("before the first state there is nothing to say again", async () => {
  const { iterator, give } = source();
  const stream = repeatWhileQuiet(iterator);
  const first = stream.next();
  await vi.advanceTimersByTimeAsync(60_000);
  give("queued");
  await expect(first).resolves.toEqual({ done: false, value: "queued" });
});

test("the source's failure is the stream's", async () => {
  const failing = { next: () => Promise.reject(new Error("the object is gone")) };
  await expect(repeatWhileQuiet(failing).next()).rejects.toThrow("the object is gone");
});
