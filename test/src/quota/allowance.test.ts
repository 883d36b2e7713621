import fc from "fast-check";
import { expect, test } from "vitest";
import { Allowance, type Take } from "../../../src/quota/allowance.ts";
import { type Bucket, takeFrom } from "../../../src/quota/token-bucket.ts";

const BUCKET: Bucket = { amount: 600, periodMs: 60_000 };

/** A bucket that isolates take from, at a time that the test sets. */
class Keeper {
  nowMs = 1_000_000;
  asked = 0;
  granted = 0;
  #fullAtMs = 0;

  readonly take: Take = (wanted, inAdvance) => {
    this.asked += 1;
    const taken = takeFrom(BUCKET, this.#fullAtMs, this.nowMs, wanted, inAdvance);
    if ("fullAtMs" in taken) this.#fullAtMs = taken.fullAtMs;
    this.granted += taken.granted;
    return Promise.resolve(taken);
  };

  /** Whether an isolate lets one more call in, or something that takes as much as several. */
  async letIn(allowance: Allowance, amount = 1): Promise<boolean> {
    if (allowance.trySpend(amount, this.nowMs)) return true;
    if (allowance.refusedForMs(amount, this.nowMs) > 0) return false;
    return (await allowance.takeAndSpend(amount, () => this.nowMs, this.take)) === undefined;
  }
}

test("a bucket is asked once for many calls, let in or not", async () => {
  const keeper = new Keeper();
  const allowance = new Allowance(BUCKET);
  let letIn = 0;
  for (let call = 0; call < 5000; call += 1) if (await keeper.letIn(allowance)) letIn += 1;
  expect(letIn).toBe(BUCKET.amount);
  // The less there is left, the less is taken at once.
  expect(keeper.asked).toBeLessThan(80);
});

test("a refusal of much is remembered for as much, and not for what there is enough for", async () => {
  const keeper = new Keeper();
  const allowance = new Allowance(BUCKET);
  expect(await keeper.letIn(allowance, 400)).toBe(true);
  expect(await keeper.letIn(allowance, 400)).toBe(false);
  const { asked } = keeper;
  expect(await keeper.letIn(allowance, 500)).toBe(false);
  expect(keeper.asked).toBe(asked);
  expect(await keeper.letIn(allowance, 100)).toBe(true);
});

test("isolates together let in no more calls than were granted, whatever they do and whenever", async () => {
  const happening = fc.record({
    isolate: fc.nat({ max: 3 }),
    afterMs: fc.nat({ max: 3000 }),
    calls: fc.nat({ max: 80 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 40 }), async (happenings) => {
      const keeper = new Keeper();
      const startMs = keeper.nowMs;
      const isolates = Array.from({ length: 4 }, () => new Allowance(BUCKET));
      let letIn = 0;
      for (const { afterMs, calls, isolate } of happenings) {
        keeper.nowMs += afterMs;
        const allowance = isolates[isolate];
        if (allowance === undefined) continue;
        const results = await Promise.all(Array.from({ length: calls }, () => keeper.letIn(allowance)));
        letIn += results.filter(Boolean).length;
      }
      expect(letIn).toBeLessThanOrEqual(keeper.granted);
      const cameBack = ((keeper.nowMs - startMs) * BUCKET.amount) / BUCKET.periodMs;
      expect(keeper.granted).toBeLessThanOrEqual(BUCKET.amount + cameBack + 1e-3);
    }),
  );
});

test("what was taken in advance is lost when it is not spent within seconds", async () => {
  const keeper = new Keeper();
  const allowance = new Allowance(BUCKET);
  await keeper.letIn(allowance);
  expect(allowance.trySpend(1, keeper.nowMs + 9999)).toBe(true);
  expect(allowance.trySpend(1, keeper.nowMs + 10_000)).toBe(false);
});

test("while one call asks for more, others ask for themselves alone", async () => {
  const wishes: number[] = [];
  const allowance = new Allowance(BUCKET);
  const take: Take = (wanted, inAdvance) => {
    wishes.push(inAdvance);
    return Promise.resolve({ granted: wanted + inAdvance });
  };
  await Promise.all([1, 2, 3].map(() => allowance.takeAndSpend(1, () => 0, take)));
  expect(wishes).toEqual([50, 0, 0]);
});
