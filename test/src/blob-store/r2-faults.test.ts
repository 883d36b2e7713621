import { randomBytes } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { STRETCH_BYTES } from "../../../src/blob-store/stretches.ts";
import { RetryInfoSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { configOf, MIB, StoreFixture, uploadName } from "../../durable-objects/cache-shard/store-fixture.ts";
import { startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { collect, connectClients, digestOf, refusalOf } from "../clients.ts";

const PART_BYTES = 8 * MIB;
const instanceName = "main";

let worker: FaultyWorker;
let store: StoreFixture;
beforeAll(async () => {
  worker = await startFaultyWorker({ config: configOf() });
  store = new StoreFixture(worker);
});
afterAll(() => worker.dispose());
beforeEach(() => store.clear());
afterEach(() => worker.plan(undefined));

/** A refusal on which a client tries again, and that says nothing of the fault itself. */
async function unavailable(call: Promise<unknown>, where: string): Promise<void> {
  const refusal = await refusalOf(call);
  expect(Code[refusal.code], where).toBe("Unavailable");
  expect(refusal.findDetails(RetryInfoSchema), where).toHaveLength(1);
  expect(refusal.rawMessage, where).toContain("try again");
  expect(refusal.rawMessage).not.toContain("the test asked for");
}

describe.each(["fail-before", "fail-after"] as const)("an operation of R2 whose answer is an error (%s)", (effect) => {
  // As one object; and in two parts: created, both uploaded, completed.
  test.each([
    ["in one put", 30_000, ["R2 put"]],
    ["in parts", PART_BYTES + 1000, ["R2 createMultipartUpload", "R2 uploadPart", "R2 uploadPart", "R2 complete"]],
  ])(
    "loses and invents no blob that is written %s (nativelink#628)",
    async (_how, size, expected) => {
      const operations: string[] = [];
      for (let at = 1; ; at++) {
        const bytes = randomBytes(size);
        const resourceName = uploadName(bytes);
        await worker.plan({
          at,
          effect,
          of: ["R2 put", "R2 createMultipartUpload", "R2 uploadPart", "R2 complete", "R2 head", "R2 get"],
        });
        const writing = store.write(resourceName, bytes);
        await writing.catch(() => undefined);
        const { calls, happened } = await worker.report();
        await worker.plan(undefined);
        if (!happened) {
          expect(await writing).toBe(size);
          break;
        }
        const where = `${effect} at ${calls[at - 1] ?? ""}`;
        operations.push(calls[at - 1] ?? "");
        await unavailable(writing, where);
        await store.audit(where);
        expect(await store.missing(bytes), where).toEqual([bytes]);

        // The client tries again where it can: at what is committed.
        const offsetBytes = await store.committed(resourceName);
        expect(offsetBytes % PART_BYTES, where).toBe(0);
        expect(await store.write(resourceName, bytes, { offsetBytes }), where).toBe(size);
        expect((await store.read(bytes)).equals(bytes), where).toBe(true);
        expect(await store.missing(bytes), where).toEqual([]);
        await store.audit(where);
      }
      expect(operations).toEqual(expected);
    },
    120_000,
  );

  test("in a batch is the verdict on one blob only", async () => {
    const blobs = [20_000, 30_000, 40_000, 100].map((size) => randomBytes(size));
    await worker.plan({ at: 2, effect, of: ["R2 put"] });
    const requests = blobs.map((data) => ({ data, digest: digestOf(data) }));
    const { cas } = connectClients(worker.url);
    const { responses } = await cas.batchUpdateBlobs({ instanceName, requests });
    await worker.plan(undefined);
    const codes = responses.map(({ status }) => Code[status?.code ?? 0] ?? "OK");
    expect(codes.toSorted()).toEqual(["OK", "OK", "OK", "Unavailable"]);
    const failed = blobs.filter((_, i) => codes[i] === "Unavailable");
    expect(await store.missing(...blobs)).toEqual(failed);
    await store.put(...blobs);
    for (const blob of blobs) expect((await store.read(blob)).equals(blob)).toBe(true);
  });
});

describe.each(["fail-before", "cut-body", "break-body"] as const)("a read of R2 that goes wrong (%s)", (effect) => {
  const bytes = randomBytes(2 * MIB);

  test("is never taken for a blob, and the blob stays", async () => {
    await store.write(uploadName(bytes), bytes);
    await worker.plan({ at: 1, effect, of: ["R2 get"] });
    await unavailable(store.read(bytes), effect);
    expect((await store.read(bytes)).equals(bytes)).toBe(true);

    const { cas } = connectClients(worker.url);
    const digests = [digestOf(bytes)];
    await worker.plan({ at: 1, effect, of: ["R2 get"] });
    await unavailable(cas.batchReadBlobs({ instanceName, digests }), effect);
    const { responses } = await cas.batchReadBlobs({ instanceName, digests });
    expect(responses.map(({ data }) => Buffer.from(data).equals(bytes))).toEqual([true]);
    expect(await store.missing(bytes)).toEqual([]);
  });

  test("ends an answer over HTTP so that it is not taken for a whole one", async () => {
    await store.write(uploadName(bytes), bytes);
    await worker.plan({ at: 1, effect, of: ["R2 get"] });
    const get = async () => {
      const url = `${worker.url}/main/cas/${digestOf(bytes).hash}`;
      const response = await fetch(url, { headers: { connection: "close" } });
      return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
    };
    if (effect === "fail-before") expect((await get()).status).toBe(503);
    else await expect(get()).rejects.toThrow();
    expect((await get()).body.equals(bytes)).toBe(true);
  });

  test("while an upload is verified leaves it to be verified again", async () => {
    const blob = randomBytes(PART_BYTES + 1000);
    const resourceName = uploadName(blob);
    await store.write(resourceName, blob.subarray(0, PART_BYTES + 1), { finish: false });
    await worker.plan({ at: 1, effect, of: ["R2 get"] });
    await unavailable(store.write(resourceName, blob, { offsetBytes: PART_BYTES }), effect);
    expect(await store.missing(blob)).toEqual([blob]);
    expect(await store.write(resourceName, blob, { offsetBytes: PART_BYTES })).toBe(blob.length);
    expect((await store.read(blob)).equals(blob)).toBe(true);
  });
});

test("a large object is read stretch by stretch, and one that goes wrong breaks the read off", async () => {
  const bytes = randomBytes(STRETCH_BYTES + MIB);
  await store.write(uploadName(bytes), bytes);
  const { byteStream } = connectClients(worker.url);
  const resourceName = `main/blobs/${digestOf(bytes).hash}/${bytes.length}`;
  for (const effect of ["fail-before", "cut-body"] as const) {
    await worker.plan({ at: 2, effect, of: ["R2 get"] });
    await unavailable(store.read(bytes), effect);
    expect((await worker.report()).calls).toHaveLength(2);
  }
  expect((await store.read(bytes)).equals(bytes)).toBe(true);
  const range = { readOffset: BigInt(STRETCH_BYTES - 10), readLimit: 20n };
  const messages = await collect(byteStream.read({ resourceName, ...range }));
  expect(Buffer.concat(messages.map(({ data }) => data))).toEqual(
    bytes.subarray(STRETCH_BYTES - 10, STRETCH_BYTES + 10),
  );
});

test("an object of another size than its blob counts as gone", async () => {
  const bytes = randomBytes(50_000);
  await store.put(bytes);
  const [key = ""] = await store.objects();
  const bucket = await worker.mf.getR2Bucket("CAS");
  await bucket.put(`MAIN_STORE/sha256/${key}`, bytes.subarray(1));
  expect(Code[(await refusalOf(store.read(bytes))).code]).toBe("NotFound");
  expect(await store.missing(bytes)).toEqual([bytes]);
  await store.put(bytes);
  expect((await store.read(bytes)).equals(bytes)).toBe(true);
});

test("an action result whose blobs can't be read is neither served nor removed", async () => {
  const { actionCache } = connectClients(worker.url);
  const tree = randomBytes(50_000);
  await store.put(tree);
  const actionDigest = digestOf(randomBytes(10));
  const outputFiles = [{ path: "a", digest: digestOf(tree) }];
  await actionCache.updateActionResult({ instanceName, actionDigest, actionResult: { outputFiles } });
  await worker.plan({ at: 1, effect: "fail-before", of: ["R2 get"] });
  const get = () => actionCache.getActionResult({ instanceName, actionDigest, inlineOutputFiles: ["a"] });
  await unavailable(get(), "inlining");
  expect((await get()).outputFiles[0]?.path).toBe("a");
});
