import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { crashEverywhere, startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { digestOf } from "../../src/clients.ts";
import { configOf, eventually, StoreFixture } from "./store-fixture.ts";

const SIZE_BYTES = 1000;
const LIMIT_BYTES = 10 * SIZE_BYTES;

let worker: FaultyWorker;
let store: StoreFixture;
beforeAll(async () => {
  worker = await startFaultyWorker({ config: configOf({ inline_total_bytes: LIMIT_BYTES }) });
  store = new StoreFixture(worker);
});
afterAll(() => worker.dispose());
beforeEach(() => store.clear());
afterEach(async () => {
  await worker.plan(undefined);
  await store.checkTotals();
});

const inlineRows = () => store.sql("SELECT lower(hex(hash)) AS hash FROM blobs WHERE bytes_id IS NOT NULL");

/** Blobs that are just as many as may be inline, the first used longest ago, and then one more, which makes room needed. */
async function fill(count: number): Promise<Buffer[]> {
  const blobs = Array.from({ length: count }, () => randomBytes(SIZE_BYTES));
  await store.put(...blobs.slice(0, 10));
  for (const [i, blob] of blobs.slice(0, 10).entries()) {
    await store.sql("UPDATE blobs SET last_access_ms = ? WHERE hash = unhex(?)", i, digestOf(blob).hash);
  }
  await store.put(...blobs.slice(10));
  return blobs;
}

test("what was used longest ago moves to R2, until 95 % of inline_total_bytes are in use", async () => {
  const blobs = await fill(14);
  await eventually(inlineRows).toHaveLength(9);
  const hashes = (await inlineRows()).map(({ hash }) => hash);
  expect(hashes.sort()).toEqual(
    blobs
      .slice(5)
      .map((blob) => digestOf(blob).hash)
      .sort(),
  );
  expect(await store.objects()).toHaveLength(5);
  expect(await store.sql("SELECT * FROM blob_bytes")).toHaveLength(9);
  expect(await store.sql("SELECT * FROM deletions")).toEqual([]);
  await store.checkReadable(blobs);
  const metrics = await store.metrics();
  expect(metrics.get('remex_store_bytes{store="MAIN_STORE",kind="inline"}')).toBe(9 * SIZE_BYTES);
  expect(metrics.get('remex_store_bytes{store="MAIN_STORE",kind="object"}')).toBe(5 * SIZE_BYTES);
});

test("there is no moment in which a blob can't be read", async () => {
  const first = await fill(10);
  const spilled = store
    .put(...Array.from({ length: 40 }, () => randomBytes(SIZE_BYTES)))
    .then(() => eventually(async () => (await inlineRows()).length).toBeLessThanOrEqual(9))
    .then(() => true);
  for (let done = false; !done;) {
    await store.checkReadable(first);
    done = await Promise.race([spilled, Promise.resolve(false)]);
  }
});

/** Whoever was killed in the middle of it has nothing more to do once the limit is kept. */
const spilledEnough = () => eventually(async () => (await inlineRows()).length).toBeLessThanOrEqual(10);

test("killed wherever, a blob is in its row or in R2, and no object is left behind", async () => {
  const points = await crashEverywhere(worker, {
    prepare: async () => {
      await store.clear();
      return fill(10);
    },
    act: async () => {
      await store.put(randomBytes(SIZE_BYTES), randomBytes(SIZE_BYTES));
      await spilledEnough();
    },
    check: async (blobs, where) => {
      await store.audit(where);
      expect(await store.missing(...blobs), where).toEqual([]);
      await store.checkReadable(blobs, where);
      await store.wake();
      await spilledEnough();
      await store.drainDeletions();
      expect(await store.audit(`afterwards: ${where}`)).toEqual([]);
    },
  });
  expect(points.some((where) => where.includes("R2 put"))).toBe(true);
});

test("while R2 fails, everything stays in its rows", async () => {
  await worker.plan({ at: 1, effect: "fail-before", times: 1000, of: ["R2 put"] });
  const blobs = await fill(12);
  await eventually(async () => (await worker.report()).calls.length).toBeGreaterThanOrEqual(3);
  expect(await inlineRows()).toHaveLength(12);
  await store.checkReadable(blobs);
});

test("a put whose answer was lost leaves no object behind", async () => {
  const blobs = await fill(10);
  await worker.plan({ at: 1, effect: "fail-after", times: 3, of: ["R2 put"] });
  await store.put(randomBytes(SIZE_BYTES), randomBytes(SIZE_BYTES));
  await eventually(async () => (await worker.report()).happened).toBe(true);
  await store.wake();
  await eventually(inlineRows).toHaveLength(9);
  await store.drainDeletions();
  expect(await store.audit("after the puts whose answers were lost")).toEqual([]);
  expect(await store.missing(...blobs)).toEqual([]);
});
