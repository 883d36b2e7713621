import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type CheckReport, checkStore } from "../../../cli/store/check-store.ts";
import { configOf, StoreFixture, uploadName } from "../../durable-objects/cache-shard/store-fixture.ts";
import { startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { digestOf } from "../clients.ts";

const SHARDS = 3;

let worker: FaultyWorker;
let store: StoreFixture;
beforeAll(async () => {
  worker = await startFaultyWorker({ config: configOf({ shards: SHARDS }) });
  store = new StoreFixture(worker, SHARDS);
});
afterAll(() => worker.dispose());
beforeEach(() => store.clear());
afterEach(() => worker.plan(undefined));

const newBlobs = (count: number) => Array.from({ length: count }, () => randomBytes(20_000));

/** The lines of a check, sorted, and its report; how far it had come goes to `progress`. */
async function check(
  { dryRun = false, graceS = 0, partSize = 1000 } = {},
  progress: string[] = [],
): Promise<CheckReport & { readonly lines: string[] }> {
  const lines: string[] = [];
  const report = await checkStore(
    { endpoint: new URL(worker.url), token: undefined, store: "MAIN_STORE" },
    { dryRun, graceS, partSize },
    { say: (line) => lines.push(line), progress: (line) => progress.push(line) },
  );
  return { ...report, lines: lines.sort() };
}

const SOUND = { missing: 0, unused: 0, young: 0, foreign: 0, lines: [] };

test("a sound store is found to be", async () => {
  await store.put(...newBlobs(30), randomBytes(100));
  const progress: string[] = [];
  expect(await check({ partSize: 7 }, progress)).toEqual({ ...SOUND, indexed: 30, objects: 30 });
  expect(progress[0]).toMatch(/^sha256: part 1 of about \d+ done, 6 blobs and 6 objects compared$/);
  expect(progress.at(-1)).toMatch(/^md5: begun, 30 blobs and 30 objects compared$/);
});

test("blobs whose objects are gone leave the index, objects that nothing refers to are deleted", async () => {
  const blobs = newBlobs(12);
  await store.put(...blobs);
  const bucket = await worker.mf.getR2Bucket("CAS");
  const gone = blobs.slice(0, 3);
  const keys = (await store.objects()).map((key) => `MAIN_STORE/sha256/${key}`);
  const keysOf = (blob: Buffer) => keys.filter((key) => key.includes(digestOf(blob).hash));
  await bucket.delete(gone.flatMap(keysOf));
  const unused = blobs.slice(3, 5).map((blob) => `${keysOf(blob)[0] ?? ""}-copy`);
  for (const key of unused) await bucket.put(key, "nobody's");
  await bucket.put("MAIN_STORE/sha256/notes.txt", "somebody's");
  const faults = {
    missing: 3,
    unused: 2,
    young: 0,
    foreign: 1,
    lines: [
      ...gone.map((blob) => `missing  sha256/${digestOf(blob).hash}/20000`),
      ...unused.map((key) => `unused   ${key}`),
    ].sort(),
  };

  expect(await check({ dryRun: true })).toEqual({ ...faults, indexed: 12, objects: 11 });
  expect(await check({ dryRun: true })).toMatchObject(faults);
  expect(await check()).toMatchObject(faults);
  expect(await store.missing(...blobs)).toEqual(gone);
  await store.drainDeletions();
  expect(await check()).toEqual({ ...SOUND, foreign: 1, indexed: 9, objects: 9 });
  await store.checkReadable(blobs.slice(3));
});

test("what came a moment ago, and what an upload or the list of deletions refers to, is no fault", async () => {
  // An object whose Worker died before the index.
  await worker.plan({ at: 1, effect: "die-after", of: ["R2 put"] });
  const [blob = Buffer.of()] = newBlobs(1);
  await expect(store.write(uploadName(blob), blob)).rejects.toThrow();
  expect(await check({ graceS: 3600 })).toEqual({ ...SOUND, young: 1, indexed: 0, objects: 1 });
  expect(await check()).toMatchObject({ unused: 1 });
  // It is on the list now.
  expect(await check()).toEqual({ ...SOUND, indexed: 0, objects: 1 });
  // One that was completed, and whose upload can be taken up.
  await worker.plan({ at: 1, effect: "die-after", of: ["R2 complete"] });
  const large = randomBytes((8 << 20) + 1);
  await expect(store.write(uploadName(large), large)).rejects.toThrow();
  await worker.plan(undefined);
  expect(await check()).toEqual({ ...SOUND, indexed: 0, objects: 2 });
});

test("a store that is larger than a part is compared part by part", async () => {
  const blobs = newBlobs(40);
  await store.put(...blobs);
  const bucket = await worker.mf.getR2Bucket("CAS");
  const keys = (await store.objects()).map((key) => `MAIN_STORE/sha256/${key}`);
  // Each seventh object is missing, there are three more for each tenth.
  await bucket.delete(keys.filter((_, i) => i % 7 === 0));
  const copies = keys.filter((_, i) => i % 10 === 0).flatMap((key) => ["x", "y", "z"].map((end) => key + end));
  for (const key of copies) await bucket.put(key, "x");
  for (const partSize of [1000, 7, 4]) {
    const found = await check({ dryRun: true, partSize });
    expect(found).toMatchObject({ indexed: 40, objects: 34 + 12, missing: 6, unused: 12 });
  }
});

test("only operators may, and only on stores that there are", async () => {
  const ask = (name: string, body: string) =>
    fetch(`${worker.url}/v1/stores/${name}/check`, { method: "POST", body, headers: { connection: "close" } });
  const unknown = await ask("NOPE", "{}");
  expect([unknown.status, await unknown.text()]).toEqual([
    400,
    'no instance uses a store "NOPE"; the stores in use are MAIN_STORE\n',
  ]);
  expect((await ask("MAIN_STORE", "x")).status).toBe(400);
  expect((await ask("MAIN_STORE", '{"dry_run": true, "grace_s": 0, "after": "x"}')).status).toBe(400);
});

test("who may not operate every instance of the store may not check it", async () => {
  const roles = { anonymous: { main: ["executor", "cache-writer", "agent"] } };
  const guarded = await startFaultyWorker({ config: configOf({}, { access: roles }) });
  const refused = checkStore(
    { endpoint: new URL(guarded.url), token: undefined, store: "MAIN_STORE" },
    { dryRun: true, graceS: 0 },
    { say: () => undefined, progress: () => undefined },
  );
  await expect(refused).rejects.toThrow(
    /the endpoint refuses: operate on instance "main" needs one of the roles operator/,
  );
  await guarded.dispose();
});
