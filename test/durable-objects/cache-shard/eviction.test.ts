import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { crashEverywhere, startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { connectClients, digestOf } from "../../src/clients.ts";
import { configOf, eventually, instanceName, StoreFixture } from "./store-fixture.ts";

const HOUR_MS = 3_600_000;
const MIN_AGE_S = 86_400;
const TOUCH_INTERVAL_S = 3600;
const SIZE_BYTES = 20_000;

let worker: FaultyWorker;
let store: StoreFixture;
beforeAll(async () => {
  const limits = { max_bytes: 5 * SIZE_BYTES, min_age_s: MIN_AGE_S, touch_interval_s: TOUCH_INTERVAL_S };
  worker = await startFaultyWorker({ config: configOf(limits) });
  store = new StoreFixture(worker);
});
afterAll(() => worker.dispose());
beforeEach(() => store.clear());
afterEach(async () => {
  await worker.plan(undefined);
  await store.checkTotals();
});

const newBlobs = (count: number, sizeBytes = SIZE_BYTES) => Array.from({ length: count }, () => randomBytes(sizeBytes));

type LastUse = readonly [of: { readonly hash: string }, ms: number];

/**
 * Says when blobs and action results were last used, of all of them at once: a store that is over its limit may evict at
 * any moment.
 */
async function setLastUses(blobs: readonly LastUse[], actionResults: readonly LastUse[] = []): Promise<void> {
  const update = (table: string, uses: readonly LastUse[]) =>
    uses.map(([{ hash }, ms]) => `UPDATE ${table} SET last_access_ms = ${ms} WHERE hash = x'${hash}'`);
  await store.sql([...update("blobs", blobs), ...update("action_results", actionResults)].join(";"));
}

/** The first of the blobs is the one that was used longest ago, all of them long enough ago to be evicted. */
function aged(blobs: readonly Uint8Array[]): LastUse[] {
  const monthAgoMs = Date.now() - 30 * 24 * HOUR_MS;
  return blobs.map((blob, i) => [digestOf(blob), monthAgoMs + i * 1000]);
}

const evicted = (count: number) => eventually(async () => (await store.rows()).length).toBe(count);

test("what was used longest ago goes first, until 95 % of max_bytes are in use", async () => {
  const blobs = newBlobs(10);
  await store.put(...blobs);
  await setLastUses(aged(blobs));
  await store.wake();
  await evicted(4);
  expect(await store.missing(...blobs)).toEqual(blobs.slice(0, 6));
  await store.drainDeletions();
  expect(await store.audit("after the eviction")).toEqual([]);
  await store.checkReadable(blobs.slice(6));
  // What was evicted can be stored again.
  await store.put(...blobs.slice(0, 1));
  expect(await store.missing(...blobs.slice(0, 1))).toEqual([]);
});

test("what was used within min_age_s stays, even if its recorded use is older by touch_interval_s", async () => {
  const [young, old] = [newBlobs(6), newBlobs(3)];
  await store.put(...young, ...old);
  const guardedMs = (MIN_AGE_S + TOUCH_INTERVAL_S) * 1000;
  await setLastUses([
    ...young.map((blob): LastUse => [digestOf(blob), Date.now() - guardedMs + 60_000]),
    ...old.map((blob): LastUse => [digestOf(blob), Date.now() - guardedMs - 1000]),
  ]);
  await store.wake();
  await evicted(6);
  expect(await store.missing(...young, ...old)).toEqual(old);
});

test("a store that may evict nothing grows beyond max_bytes, and says so in its metrics", async () => {
  const blobs = newBlobs(7);
  await store.put(...blobs);
  await store.wake();
  await store.wake();
  expect(await store.missing(...blobs)).toEqual([]);
  const metrics = await store.metrics();
  expect(metrics.get('remex_store_bytes{store="MAIN_STORE",kind="object"}')).toBe(7 * SIZE_BYTES);
  expect(metrics.get('remex_store_max_bytes{store="MAIN_STORE"}')).toBe(5 * SIZE_BYTES);
});

test("inline blobs and action results are evicted as well, and counted", async () => {
  const inline = newBlobs(20, 8000);
  await store.put(...inline);
  const { actionCache } = connectClients(worker.url);
  const actions = newBlobs(3, 40).map(digestOf);
  for (const actionDigest of actions) {
    const actionResult = { exitCode: 1, stdoutRaw: randomBytes(10_000) };
    await actionCache.updateActionResult({ instanceName, actionDigest, actionResult });
  }
  const before = await store.metrics();
  // Two results are older than everything, one is younger.
  await setLastUses(
    aged(inline),
    actions.slice(0, 2).map((digest, i): LastUse => [digest, i]),
  );
  await store.wake();
  // 10,0xx bytes of the young result and 10 blobs of 8000.
  await evicted(10);
  await eventually(() => store.sql("SELECT * FROM action_results")).toHaveLength(1);
  expect(await store.sql("SELECT * FROM blob_bytes")).toHaveLength(10);
  expect(await store.missing(...inline)).toEqual(inline.slice(0, 10));
  const after = await store.metrics();
  const grew = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(grew('remex_store_evicted_entries_total{store="MAIN_STORE",kind="blob"}')).toBe(10);
  expect(grew('remex_store_evicted_entries_total{store="MAIN_STORE",kind="action_result"}')).toBe(2);
  expect(grew('remex_store_evicted_bytes_total{store="MAIN_STORE"}')).toBeGreaterThan(100_000);
});

test("an action result counts as used an hour later for each step that its priority is lower, and min_age_s holds", async () => {
  const { actionCache } = connectClients(worker.url);
  const put = async (priority: number) => {
    const actionDigest = digestOf(randomBytes(40));
    const actionResult = { exitCode: 1, stdoutRaw: randomBytes(SIZE_BYTES) };
    await actionCache.updateActionResult({
      instanceName,
      actionDigest,
      actionResult,
      resultsCachePolicy: { priority },
    });
    return actionDigest;
  };
  const [kept, plain, given, young] = [await put(-2), await put(0), await put(2), await put(2 ** 31 - 1)];
  await store.put(...newBlobs(2));
  const monthAgoMs = Date.now() - 30 * 24 * HOUR_MS;
  // The one that is kept was used first of all, the one that is given last.
  await setLastUses(
    [],
    [
      [kept, monthAgoMs],
      [plain, monthAgoMs + HOUR_MS],
      [given, monthAgoMs + 2 * HOUR_MS],
    ],
  );
  const stored = async () =>
    (await store.sql("SELECT lower(hex(hash)) AS hash FROM action_results")).map(({ hash }) => hash);
  await store.wake();
  // 120,000 bytes of 100,000.
  await eventually(async () => (await stored()).sort()).toEqual([kept.hash, young.hash].sort());
});

test("killed wherever, an eviction goes on, and no blob is said to be there that is not", async () => {
  const points = await crashEverywhere(worker, {
    prepare: async () => {
      await store.clear();
      const blobs = newBlobs(7);
      await store.put(...blobs);
      await setLastUses(aged(blobs));
      return blobs;
    },
    act: async () => {
      await store.wake();
      await evicted(4);
      await store.drainDeletions();
    },
    check: async (blobs, where) => {
      await store.audit(where);
      const missing = await store.missing(...blobs);
      await store.checkReadable(
        blobs.filter((blob) => !missing.includes(blob)),
        where,
      );
      await store.wake();
      await evicted(4);
      await store.drainDeletions();
      expect(await store.audit(`afterwards: ${where}`)).toEqual([]);
    },
  });
  expect(points.some((where) => where.includes("R2 delete"))).toBe(true);
});

test("a shard that is killed before its totals were saved counts again", async () => {
  const blobs = newBlobs(2);
  await store.put(...blobs);
  await store.sql("DELETE FROM blobs WHERE hash = unhex(?)", digestOf(blobs[0] ?? Buffer.of()).hash);
  await worker.killShard(0);
  await store.checkTotals();
});
