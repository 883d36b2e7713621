import fc from "fast-check";
import { expect, test } from "vitest";
import { mapBounded } from "../../../src/batching/map-bounded.ts";

test("results come in the order of the items, however the calls end, and no more run at once than allowed", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.nat()),
      fc.integer({ min: 1, max: 8 }),
      async (s, items, maxAtOnce) => {
        let running = 0;
        let mostRunning = 0;
        const mapped = mapBounded(items, maxAtOnce, async (item) => {
          mostRunning = Math.max(mostRunning, ++running);
          await s.schedule(Promise.resolve(), `item ${item}`);
          running--;
          return item * 2;
        });
        await s.waitFor(mapped);
        expect(await mapped).toEqual(items.map((item) => item * 2));
        expect(mostRunning).toBe(Math.min(maxAtOnce, items.length));
      },
    ),
  );
});

test("the first failure is thrown and nothing more is started", async () => {
  const started: number[] = [];
  const failing = mapBounded([1, 2, 3, 4, 5], 2, async (item) => {
    started.push(item);
    if (item === 2) throw new Error("two");
    await Promise.resolve();
    await Promise.resolve();
    return item;
  });
  await expect(failing).rejects.toThrow("two");
  await new Promise(setImmediate);
  expect(started).toEqual([1, 2]);
});
