import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { forEachConcurrently, Slots } from "../../worker-agents/concurrency.ts";

describe("forEachConcurrently", () => {
  it("does all items, never more than the limit at once", async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await forEachConcurrently([...Array(20).keys()], 3, async (item) => {
      most = Math.max(most, ++running);
      await turn();
      running--;
      done.push(item);
    });
    expect(done.sort((a, b) => a - b)).toEqual([...Array(20).keys()]);
    expect(most).toBe(3);
  });

  it("begins nothing after a failure, and fails when what runs has ended", async () => {
    const begun: number[] = [];
    let ended = 0;
    const all = forEachConcurrently([0, 1, 2, 3, 4], 2, async (item) => {
      begun.push(item);
      if (item === 0) throw new Error("first");
      await turn();
      ended++;
    });
    await expect(all).rejects.toThrow("first");
    expect({ begun, ended }).toEqual({ begun: [0, 1], ended: 1 });
  });
});

describe("Slots", () => {
  it("let their number run, and the others in order", async () => {
    const slots = new Slots(2);
    let running = 0;
    let most = 0;
    const order: number[] = [];
    await Promise.all(
      [0, 1, 2, 3, 4].map((task) =>
        slots.run(async () => {
          order.push(task);
          most = Math.max(most, ++running);
          await turn();
          running--;
        }),
      ),
    );
    expect({ most, order }).toEqual({ most: 2, order: [0, 1, 2, 3, 4] });
  });

  it("are free again after a failure", async () => {
    const slots = new Slots(1);
    await expect(slots.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await slots.run(() => Promise.resolve("yes"))).toBe("yes");
  });
});
