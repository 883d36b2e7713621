import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { reshardStore } from "../../../cli/store/reshard-store.ts";
import { shardOf } from "../../../src/cache-shards/shard-map.ts";
import { crashEverywhere, startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { connectClients, digestOf } from "../../src/clients.ts";
import { configOf, eventually, instanceName, MIB, StoreFixture, uploadName } from "./store-fixture.ts";

const MOST_SHARDS = 5;

let worker: FaultyWorker;
let store: StoreFixture;
beforeAll(async () => {
  worker = await startFaultyWorker({ config: configOf({ shards: 3 }) });
  store = new StoreFixture(worker, MOST_SHARDS);
});
afterAll(() => worker.dispose());
beforeEach(() => store.clear());
afterEach(async () => {
  await worker.plan(undefined);
  await store.checkTotals();
});

const reshard = (shards: number, say: (line: string) => void = () => undefined) =>
  reshardStore({ endpoint: new URL(worker.url), token: undefined, store: "MAIN_STORE" }, shards, say);

/** The same without a pause between two looks. */
async function change(shards: number): Promise<void> {
  const response = await fetch(`${worker.url}/v1/stores/MAIN_STORE/reshard`, {
    method: "POST",
    body: JSON.stringify({ shards }),
    headers: { connection: "close" },
  });
  expect(response.status).toBe(200);
  await eventually(layout).toMatchObject({ phase: "stable", shards });
}

async function layout(): Promise<unknown> {
  const response = await fetch(`${worker.url}/v1/stores/MAIN_STORE/layout`, { headers: { connection: "close" } });
  return response.json();
}

/** Blobs in rows and blobs in R2. */
const newBlobs = (count: number) => Array.from({ length: count }, (_, i) => randomBytes(i % 3 === 0 ? 20_000 : 200));

async function putResults(count: number): Promise<ReturnType<typeof digestOf>[]> {
  const { actionCache } = connectClients(worker.url);
  const actions = Array.from({ length: count }, () => digestOf(randomBytes(8)));
  const resultsCachePolicy = { priority: -3 };
  for (const actionDigest of actions) {
    await actionCache.updateActionResult({
      instanceName,
      actionDigest,
      actionResult: { exitCode: 7 },
      resultsCachePolicy,
    });
  }
  return actions;
}

async function checkResults(actions: readonly ReturnType<typeof digestOf>[]): Promise<void> {
  const { actionCache } = connectClients(worker.url);
  for (const actionDigest of actions) {
    expect((await actionCache.getActionResult({ instanceName, actionDigest })).exitCode).toBe(7);
  }
  expect(await store.sql("SELECT priority FROM action_results WHERE priority <> -3")).toEqual([]);
}

/** Everything is in the shard in which it belongs when there are so many. */
async function checkPlaces(shards: number): Promise<void> {
  for (let index = 0; index < MOST_SHARDS; index++) {
    for (const table of ["blobs", "action_results", "uploads"]) {
      const rows = await worker.shardSql(index, `SELECT lower(hex(hash)) AS hash FROM ${table}`);
      expect(new Set(rows.map(({ hash }) => shardOf(String(hash), shards)))).toEqual(
        new Set(rows.length === 0 ? [] : [index]),
      );
    }
  }
}

test("more shards and fewer, with clients that read and write all the time", async () => {
  const blobs = newBlobs(45);
  await store.put(...blobs);
  const actions = await putResults(20);
  const upload = randomBytes(9 * MIB);
  const resourceName = uploadName(upload);
  await store.write(resourceName, upload.subarray(0, 8 * MIB + 1), { finish: false });

  for (const shards of [5, 2, 3]) {
    const lines: string[] = [];
    const changed = reshard(shards, (line) => lines.push(line)).then(() => true);
    for (let done = false; !done; done = await Promise.race([changed, Promise.resolve(false)])) {
      await store.checkReadable(blobs);
      expect(await store.missing(...blobs)).toEqual([]);
      const more = newBlobs(2);
      await store.put(...more);
      blobs.push(...more);
      await checkResults(actions.slice(-3));
      actions.push(...(await putResults(1)));
    }
    expect(lines.at(-1)).toBe(`the store has ${shards} shards`);
    expect(await layout()).toEqual({ phase: "stable", shards, from: shards, moved: 0 });
    await checkPlaces(shards);
    await store.checkReadable(blobs);
    await checkResults(actions);
    expect(await store.audit(`with ${shards} shards`)).toEqual([]);
  }
  expect(await store.committed(resourceName)).toBe(8 * MIB);
  expect(await store.write(resourceName, upload, { offsetBytes: 8 * MIB })).toBe(upload.length);
});

test("a change that is under way can be watched again, and no other one begun", async () => {
  await store.put(...newBlobs(6));
  // The leader fails for a while at telling the others.
  await worker.plan({ at: 1, effect: "fail-before", times: 1, of: ["hasMoved"] });
  const ask = (shards: number) =>
    fetch(`${worker.url}/v1/stores/MAIN_STORE/reshard`, {
      method: "POST",
      body: JSON.stringify({ shards }),
      headers: { connection: "close" },
    });
  await expect((await ask(4)).json()).resolves.toMatchObject({ phase: "preparing", shards: 4, from: 3 });
  const other = await ask(2);
  expect([other.status, await other.text()]).toEqual([
    400,
    "store MAIN_STORE is being changed from 3 to 4 shards; wait until that is done\n",
  ]);
  expect((await ask(257)).status).toBe(400);
  await reshard(4);
  await reshard(4);
  await checkPlaces(4);
  await reshard(3);
});

test("a blob that is in both places is one afterwards, and nobody's object is left behind", async () => {
  const blobs = newBlobs(30);
  await store.put(...blobs);
  // The Worker writes by the new number, and the shards can't move anything yet.
  await worker.plan({ at: 1, effect: "fail-before", times: 1000, of: ["receive"] });
  const changed = reshard(5);
  await eventually(layout).toMatchObject({ phase: "moving" });
  // A client that has not asked before, whose uploads are not spared.
  await store.sql("UPDATE blobs SET last_access_ms = 5");
  const rows = await store.rows();
  const moving = rows.filter(({ blob, uploadId }) => uploadId !== undefined && shardOf(blob, 3) !== shardOf(blob, 5));
  expect(moving.length).toBeGreaterThan(0);
  for (const { blob } of moving) {
    const [hash = "", size = ""] = blob.split("-");
    const target = shardOf(hash, 5);
    const bucket = await worker.mf.getR2Bucket("CAS");
    const data = blobs.find((bytes) => digestOf(bytes).hash === hash) ?? Buffer.of();
    await bucket.put(`MAIN_STORE/sha256/${hash}-${size}/second-${hash}`, data);
    await worker.shardSql(
      target,
      "INSERT INTO blobs (digest_function, hash, size_bytes, last_access_ms, upload_id) VALUES (1, unhex(?), ?, 1, ?)",
      hash,
      Number(size),
      `second-${hash}`,
    );
  }
  await store.checkReadable(blobs);
  await worker.plan(undefined);
  await store.wake();
  await changed;
  await checkPlaces(5);
  await store.drainDeletions();
  expect(await store.audit("after both became one")).toEqual([]);
  const after = await store.rows();
  for (const { blob } of moving) {
    expect(after.find((row) => row.blob === blob)?.uploadId).toBe(`second-${blob.split("-")[0] ?? ""}`);
  }
  await store.checkReadable(blobs);
  await reshard(3);
  await store.sql("DELETE FROM totals");
  await store.wake();
});

test("whoever is killed at whatever line, nothing is lost and nothing invented", async () => {
  let shards = 3;
  const points = await crashEverywhere(worker, {
    prepare: async () => {
      await store.clear();
      const blobs = newBlobs(12);
      await store.put(...blobs);
      shards = shards === 3 ? 2 : 3;
      return { blobs, actions: await putResults(3) };
    },
    act: () => change(shards),
    of: ["reshard", "receive", "hasMoved"],
    check: async ({ actions, blobs }, where) => {
      await store.audit(where);
      await store.checkReadable(blobs, where);
      expect(await store.missing(...blobs), where).toEqual([]);
      await change(shards);
      await checkPlaces(shards);
      await store.checkReadable(blobs, where);
      await checkResults(actions);
      await store.drainDeletions();
      expect(await store.audit(`afterwards: ${where}`)).toEqual([]);
    },
  });
  for (const call of ["reshard", "receive", "hasMoved"]) {
    expect(points.some((where) => where.includes(call))).toBe(true);
  }
  await change(3);
}, 120_000);
