import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { connectClients } from "../../src/clients.ts";
import { configOf, instanceName, StoreFixture } from "./store-fixture.ts";

const ENTRIES = 1_000_000;
const SIZE_BYTES = 100;
const KNOWN = 5000;

let worker: FaultyWorker;
let store: StoreFixture;
beforeAll(async () => {
  // One entry too many: 5 % have to go.
  worker = await startFaultyWorker({ config: configOf({ max_bytes: ENTRIES * SIZE_BYTES - 1 }) });
  store = new StoreFixture(worker);
});
afterAll(() => worker.dispose());

const newHashes = (count: number) => Array.from({ length: count }, () => randomBytes(32).toString("hex"));

test("a shard of a million entries answers for 10,000 of them at once, and evicts those that are oldest", async () => {
  await store.clear();
  const known = newHashes(KNOWN);
  const now = Date.now();
  await store.sql(
    `INSERT INTO blobs (digest_function, hash, size_bytes, last_access_ms, upload_id)
     SELECT 1, unhex(value), ?, ?, 'u' FROM json_each(?)`,
    SIZE_BYTES,
    now,
    JSON.stringify(known),
  );
  // The others were used one after another, long ago.
  await store.sql(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO blobs (digest_function, hash, size_bytes, last_access_ms, upload_id)
     SELECT 1, randomblob(32), ?, i, 'u' || i FROM n`,
    ENTRIES - KNOWN,
    SIZE_BYTES,
  );
  // It counts them, and begins to evict.
  await store.wake();

  const unknown = newHashes(KNOWN);
  const blobDigests = known.flatMap((hash, i) =>
    [hash, unknown[i] ?? ""].map((hash) => ({ hash, sizeBytes: BigInt(SIZE_BYTES) })),
  );
  const { cas } = connectClients(worker.url);
  const { missingBlobDigests } = await cas.findMissingBlobs({ instanceName, blobDigests });
  expect(missingBlobDigests.map(({ hash }) => hash)).toEqual(unknown);

  const left = async () => (await store.metrics()).get('remex_store_entries{store="MAIN_STORE",kind="object"}');
  await expect.poll(left, { timeout: 100_000, interval: 1000 }).toBe(ENTRIES * 0.95 - 1);
  // Times are told apart to the width of a bucket, of which there are 2048 at least: so many may be spared wrongly.
  const [spared] = await store.sql("SELECT count(*) AS n FROM blobs WHERE last_access_ms <= ?", ENTRIES * 0.05);
  expect(Number(spared?.["n"])).toBeLessThanOrEqual(ENTRIES / 2048);
  await store.checkTotals();
}, 150_000);
