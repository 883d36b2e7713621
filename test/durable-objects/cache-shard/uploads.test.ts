import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { crashEverywhere, startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { codeOf, refusalOf } from "../../src/clients.ts";
import { configOf, eventually, MIB, StoreFixture, uploadName } from "./store-fixture.ts";

const PART_BYTES = 8 * MIB;
const DAY_MS = 86_400_000;

let worker: FaultyWorker;
let store: StoreFixture;
beforeAll(async () => {
  worker = await startFaultyWorker({ config: configOf() });
  store = new StoreFixture(worker);
});
afterAll(() => worker.dispose());

/** Two parts, of which the second is short. */
const SIZE_BYTES = PART_BYTES + 1000;
const blob = randomBytes(SIZE_BYTES);
const firstPart = blob.subarray(0, PART_BYTES + 1);
let resourceName: string;
beforeEach(async () => {
  resourceName = uploadName(blob);
  await store.clear();
});
afterEach(() => worker.plan(undefined));

/** Lets everything of the uploads have happened so long ago. */
async function age(ms: number): Promise<void> {
  await store.sql("UPDATE uploads SET began_ms = began_ms - ?", ms);
  await store.sql("UPDATE upload_parts SET stored_ms = stored_ms - ?", ms);
}

test("an upload that nobody goes on with is given up, and nothing of it stays", async () => {
  expect(await store.write(resourceName, firstPart, { finish: false })).toBe(PART_BYTES);
  const [upload] = await store.sql("SELECT upload_id, r2_upload_id FROM uploads");
  await age(DAY_MS + 1000);
  await store.wake();
  await eventually(() => store.sql("SELECT * FROM uploads")).toEqual([]);
  await eventually(() => store.sql("SELECT * FROM deletions")).toEqual([]);
  expect(await store.sql("SELECT * FROM upload_parts")).toEqual([]);
  expect(await store.committed(resourceName)).toBe(0);
  const bucket = await worker.mf.getR2Bucket("CAS");
  const [, name = ""] = /blobs\/(.*)$/.exec(resourceName) ?? [];
  const key = `MAIN_STORE/sha256/${name.replace("/", "-")}/${String(upload?.["upload_id"])}`;
  const dropped = bucket.resumeMultipartUpload(key, String(upload?.["r2_upload_id"]));
  await expect(dropped.uploadPart(2, new Uint8Array(1))).rejects.toThrow();
  expect(await codeOf(store.write(resourceName, blob, { offsetBytes: PART_BYTES }))).toBe("InvalidArgument");
  expect(await store.write(resourceName, blob)).toBe(blob.length);
});

test("an upload that began long ago, and of which parts come, is not given up", async () => {
  await store.write(resourceName, firstPart, { finish: false });
  await age(2 * DAY_MS);
  await store.sql("UPDATE upload_parts SET stored_ms = ?", Date.now() - DAY_MS / 2);
  await store.wake();
  await store.wake();
  expect(await store.committed(resourceName)).toBe(PART_BYTES);
  expect(await store.write(resourceName, blob, { offsetBytes: PART_BYTES })).toBe(blob.length);
});

test("an object of an upload that was given up in the last moment is not indexed, and is removed", async () => {
  // The Worker dies between the completion in R2 and the index. Then the upload is given up.
  await worker.plan({ at: 1, effect: "die-after", of: ["R2 complete"] });
  await expect(store.write(resourceName, blob)).rejects.toThrow();
  await worker.plan(undefined);
  expect(await store.audit("before it is given up")).toHaveLength(1);
  expect(await store.missing(blob)).toEqual([blob]);
  await age(DAY_MS + 1000);
  await store.wake();
  await eventually(() => store.audit("after it was given up")).toEqual([]);
});

test("a Worker that is slower than the limit is told that its upload was given up", async () => {
  // Its call of insertObject has its answer lost, and before it is repeated everything is given up: so it seems to it.
  await worker.plan({ at: 1, effect: "fail-before", of: ["insertObject"] });
  expect(await codeOf(store.write(resourceName, blob))).toBe("Internal");
  await worker.plan(undefined);
  await store.sql(
    "INSERT INTO deletions SELECT upload_id, digest_function, hash, size_bytes, r2_upload_id, ?, 0 FROM uploads",
    Date.now() + DAY_MS,
  );
  const refusal = await refusalOf(store.write(resourceName, blob, { offsetBytes: PART_BYTES }));
  expect(await codeOf(Promise.reject(refusal))).toBe("Unavailable");
  expect(refusal.rawMessage).toContain("was given up; start it again");
  expect(await store.missing(blob)).toEqual([blob]);
});

test("an object that can't be deleted is tried again later, and keeps none from being deleted", async () => {
  const blobs = [20_000, 20_001, 20_002].map((size) => randomBytes(size));
  await store.put(...blobs);
  const keys = await store.objects();
  expect(keys).toHaveLength(3);
  // Their rows go onto the list, as an eviction does it.
  await store.sql(`INSERT INTO deletions SELECT upload_id, digest_function, hash, size_bytes, NULL, 0, 0 FROM blobs`);
  await store.sql("DELETE FROM blobs");
  // The deletion of all together fails, and that of the first by itself.
  await worker.plan({ at: 1, effect: "fail-before", times: 2, of: ["R2 delete"] });
  await store.wake();
  await eventually(() => store.objects()).toHaveLength(1);
  const [left] = await store.sql("SELECT failures, due_ms FROM deletions");
  await worker.plan(undefined);
  expect(left).toMatchObject({ failures: 1 });
  expect(Number(left?.["due_ms"])).toBeGreaterThan(Date.now());
  await store.drainDeletions();
  expect(await store.objects()).toEqual([]);
});

test("an object on the list that is indexed nevertheless stays", async () => {
  const bytes = randomBytes(20_000);
  await store.put(bytes);
  await store.sql(
    "INSERT INTO deletions SELECT upload_id, digest_function, hash, size_bytes, NULL, 0, 0 FROM blobs WHERE size_bytes = 20000",
  );
  await store.drainDeletions();
  expect((await store.read(bytes)).equals(bytes)).toBe(true);
});

test.each([
  ["in one put", 30_000],
  ["in parts", SIZE_BYTES],
])(
  "whoever dies at whatever line of an upload %s, no blob is said to be there that is not",
  async (_, size) => {
    const points = await crashEverywhere(worker, {
      prepare: () => Promise.resolve(randomBytes(size)),
      act: (bytes) => store.write(uploadName(bytes), bytes),
      check: async (bytes, where) => {
        await store.audit(where);
        const [missing] = await store.missing(bytes);
        if (missing === undefined) expect((await store.read(bytes)).equals(bytes), where).toBe(true);
        expect(await store.write(uploadName(bytes), bytes), where).toBe(size);
        expect(await store.missing(bytes), where).toEqual([]);
      },
    });
    expect(points.length).toBe(size > PART_BYTES ? 8 : 3);
    await store.sql("UPDATE uploads SET began_ms = 0");
    await store.sql("UPDATE upload_parts SET stored_ms = 0");
    await store.wake();
    await eventually(() => store.sql("SELECT * FROM uploads")).toEqual([]);
    await store.drainDeletions();
    // A put has no session: the object of one whose Worker died before the index is `remex store check`'s to find.
    expect(await store.audit("in the end")).toHaveLength(size > PART_BYTES ? 0 : 1);
  },
  60_000,
);
