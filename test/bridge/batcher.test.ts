import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Batcher, type BatchLimits } from "../../bridge/batcher.ts";

const LIMITS: BatchLimits = { windowMs: 5, maxItems: 100, maxBytes: 1000, maxInFlight: 3 };

/** A batcher whose batches come back when they are told to. */
function batcher(limits: Partial<BatchLimits> = {}) {
  const sent: string[][] = [];
  const ends: (() => void)[] = [];
  const gathering = new Batcher<string>({ ...LIMITS, ...limits }, (items) => {
    sent.push([...items]);
    return new Promise((resolve) => ends.push(resolve));
  });
  return {
    sent,
    add: (items: string, key = "", bytes = 1) => {
      for (const item of items) gathering.add(key, item, bytes);
    },
    comesBack: async (batch: number) => {
      ends[batch]?.();
      await vi.advanceTimersByTimeAsync(0);
    },
  };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("the first item goes at once, and those that come while it is on its way go together when it is back", async () => {
  const { sent, add, comesBack } = batcher();
  add("abc");
  expect(sent).toEqual([["a"]]);
  await comesBack(0);
  expect(sent).toEqual([["a"], ["b", "c"]]);
});

test("what came while a batch was on its way is sent when the window has passed, though it is not back", async () => {
  const { sent, add } = batcher();
  add("ab");
  await vi.advanceTimersByTimeAsync(3);
  add("c");
  await vi.advanceTimersByTimeAsync(1);
  expect(sent).toEqual([["a"]]);
  await vi.advanceTimersByTimeAsync(1);
  expect(sent).toEqual([["a"], ["b", "c"]]);
});

test("when one batch comes back while another is on its way, the window goes on", async () => {
  const { sent, add, comesBack } = batcher();
  add("ab");
  await vi.advanceTimersByTimeAsync(5);
  add("c");
  await comesBack(0);
  expect(sent).toEqual([["a"], ["b"]]);
  await comesBack(1);
  expect(sent).toEqual([["a"], ["b"], ["c"]]);
});

test("a group that is quiet again sends at once, and nothing is kept waiting", async () => {
  const { sent, add, comesBack } = batcher();
  add("a");
  await comesBack(0);
  add("b");
  expect(sent).toEqual([["a"], ["b"]]);
  expect(vi.getTimerCount()).toBe(0);
});

describe("a full batch goes at once", () => {
  test("by its items", () => {
    const { sent, add } = batcher({ maxItems: 2 });
    add("abcd");
    expect(sent).toEqual([["a"], ["b", "c"]]);
  });

  test("by its bytes", () => {
    const { sent, add } = batcher({ maxBytes: 10 });
    add("a");
    add("bcd", "", 4);
    expect(sent).toEqual([["a"], ["b", "c"], ["d"]]);
  });

  test("even if it is a single item", () => {
    const { sent, add } = batcher({ maxBytes: 10 });
    add("a");
    add("b", "", 11);
    expect(sent).toEqual([["a"], ["b"]]);
  });
});

test("at the limit of batches on their way items wait, however many, and then go in full batches", async () => {
  const { sent, add, comesBack } = batcher({ maxItems: 2, maxInFlight: 2 });
  add("abcdefg");
  await vi.advanceTimersByTimeAsync(100);
  expect(sent).toEqual([["a"], ["b", "c"]]);
  await comesBack(1);
  expect(sent).toEqual([["a"], ["b", "c"], ["d", "e"]]);
  await comesBack(0);
  await comesBack(2);
  expect(sent).toEqual([["a"], ["b", "c"], ["d", "e"], ["f", "g"]]);
});

test("groups don't wait for one another", () => {
  const { sent, add } = batcher();
  add("ab", "one");
  add("cd", "two");
  expect(sent).toEqual([["a"], ["c"]]);
});
