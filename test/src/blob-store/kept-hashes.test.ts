import { createHash, randomBytes } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { KeptHashes } from "../../../src/blob-store/kept-hashes.ts";
import { configOf, MIB, StoreFixture, uploadName } from "../../durable-objects/cache-shard/store-fixture.ts";
import { startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { refusalOf } from "../clients.ts";

const PARTS = [
  { partNumber: 1, etag: "a" },
  { partNumber: 2, etag: "b" },
];

describe("a hash that is kept", () => {
  const hash = createHash("sha256");

  test("is for one taker", () => {
    const kept = new KeptHashes();
    kept.keep("upload", PARTS, hash);
    expect(kept.take("another", PARTS)).toBe(undefined);
    expect(kept.take("upload", [...PARTS])).toBe(hash);
    expect(kept.take("upload", PARTS)).toBe(undefined);
  });

  test.each([
    ["fewer parts", PARTS.slice(0, 1)],
    ["more parts", [...PARTS, { partNumber: 3, etag: "c" }]],
    ["a part that was stored again", [...PARTS.slice(0, 1), { partNumber: 2, etag: "c" }]],
  ])("is of no use for %s", (_, parts) => {
    const kept = new KeptHashes();
    kept.keep("upload", PARTS, hash);
    expect(kept.take("upload", parts)).toBe(undefined);
  });

  test("goes when many came after it, and the latest stays", () => {
    const kept = new KeptHashes();
    for (let i = 0; i < 1000; i++) kept.keep(`upload ${i}`, PARTS, hash);
    const left = Array.from({ length: 1000 }, (_, i) => kept.take(`upload ${i}`, PARTS));
    expect(left.findIndex((taken) => taken !== undefined)).toBeGreaterThan(500);
    expect(left.at(-1)).toBe(hash);
  });
});

describe("an upload that comes in several requests", () => {
  const PART_BYTES = 8 * MIB;
  const SIZE_BYTES = 3 * PART_BYTES + 1000;

  let worker: FaultyWorker;
  let store: StoreFixture;
  beforeAll(async () => {
    worker = await startFaultyWorker({ config: configOf() });
    store = new StoreFixture(worker);
  });
  afterAll(() => worker.dispose());
  beforeEach(() => store.clear());

  /** Stores a blob, whose requests end in these places. Returns how often R2 was read meanwhile. */
  async function readsOfWriting(bytes: Uint8Array, ends: readonly number[]): Promise<number> {
    const resourceName = uploadName(bytes);
    // Nothing goes wrong: calls are only counted.
    await worker.plan({ at: 1000, effect: "fail-before", of: ["R2 get"] });
    let offsetBytes = 0;
    for (const end of ends) {
      offsetBytes = await store.write(resourceName, bytes.subarray(0, end), { offsetBytes, finish: false });
    }
    expect(await store.write(resourceName, bytes, { offsetBytes })).toBe(bytes.length);
    const { calls } = await worker.report();
    await worker.plan(undefined);
    return calls.length;
  }

  test("cut between parts is hashed as it comes", async () => {
    const bytes = randomBytes(SIZE_BYTES);
    expect(await readsOfWriting(bytes, [PART_BYTES, 3 * PART_BYTES])).toBe(0);
    expect((await store.read(bytes)).equals(bytes)).toBe(true);
  });

  test("cut within a part is read back", async () => {
    const bytes = randomBytes(SIZE_BYTES);
    expect(await readsOfWriting(bytes, [PART_BYTES, PART_BYTES + 1])).toBeGreaterThan(0);
    expect((await store.read(bytes)).equals(bytes)).toBe(true);
  });

  test.each([0, PART_BYTES, SIZE_BYTES - 1])("is refused where byte %i is another", async (at) => {
    const bytes = randomBytes(SIZE_BYTES);
    const resourceName = uploadName(bytes);
    const others = Buffer.from(bytes);
    others[at] = (bytes[at] ?? 0) ^ 1;
    const offsetBytes = await store.write(resourceName, others.subarray(0, PART_BYTES), { finish: false });
    expect(offsetBytes).toBe(PART_BYTES);
    const refusal = await refusalOf(store.write(resourceName, others, { offsetBytes }));
    expect(Code[refusal.code]).toBe("InvalidArgument");
    expect(await store.missing(bytes)).toEqual([bytes]);
    expect(await store.committed(resourceName)).toBe(0);
  });
});
