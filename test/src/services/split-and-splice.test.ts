import { randomBytes } from "node:crypto";
import { blake3 } from "@noble/hashes/blake3.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ChunkingFunction_Value,
  DigestFunction_Value,
  type Digest,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { PreconditionFailureSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import {
  codeOf,
  collect,
  connectClients,
  digestOf,
  refusalOf,
  streamOf,
  writeRequests,
  type Clients,
} from "../clients.ts";

const instanceName = "main";
const KIB = 1 << 10;
const MIB = 1 << 20;

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startWorker();
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

async function store(bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes);
  const name = `main/uploads/${crypto.randomUUID()}/blobs/${digest.hash}/${digest.sizeBytes}`;
  await clients.byteStream.write(streamOf(writeRequests(name, bytes, { chunkBytes: MIB })));
  return digest;
}

async function read({ hash, sizeBytes }: Digest): Promise<Buffer> {
  const messages = await collect(clients.byteStream.read({ resourceName: `main/blobs/${hash}/${sizeBytes}` }));
  return Buffer.concat(messages.map(({ data }) => data));
}

async function missing(...blobDigests: Digest[]): Promise<Digest[]> {
  return (await clients.cas.findMissingBlobs({ instanceName, blobDigests })).missingBlobDigests;
}

/** As if eviction had taken a blob away. */
async function forget({ hash }: Digest): Promise<void> {
  for (let shard = 0; shard < 4; shard++) {
    await worker.shardSql(shard, "DELETE FROM blobs WHERE hash = unhex(?)", hash);
  }
}

const split = (blobDigest: Digest) => clients.cas.splitBlob({ instanceName, blobDigest });

/** Cuts into pieces of these sizes. */
function cut(bytes: Uint8Array, ...sizes: number[]): Uint8Array[] {
  let end = 0;
  return sizes.map((size) => bytes.subarray(end, (end += size)));
}

test("a blob is split into chunks that are stored, and are it", async () => {
  const bytes = randomBytes(5 * MIB);
  const digest = await store(bytes);
  const { chunkDigests, chunkingFunction } = await split(digest);
  expect(chunkingFunction).toBe(ChunkingFunction_Value.FAST_CDC_2020);
  expect(chunkDigests.length).toBeGreaterThan(2);
  expect(await missing(...chunkDigests)).toEqual([]);
  const chunks = await Promise.all(chunkDigests.map(read));
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  expect(chunks.map(digestOf)).toEqual(chunkDigests);
  expect((await split(digest)).chunkDigests).toEqual(chunkDigests);
});

test("a change leaves most chunks what they were", async () => {
  const bytes = randomBytes(6 * MIB);
  const before = await split(await store(bytes));
  const changed = Buffer.concat([bytes.subarray(0, 3 * MIB), randomBytes(100), bytes.subarray(3 * MIB)]);
  const after = await split(await store(changed));
  const known = new Set(before.chunkDigests.map(({ hash }) => hash));
  expect(after.chunkDigests.filter(({ hash }) => !known.has(hash)).length).toBeLessThanOrEqual(3);
});

test.each([0, 1, 1000, 128 * KIB])("a blob of %i bytes is its only chunk", async (size) => {
  const digest = await store(randomBytes(size));
  expect(await split(digest)).toMatchObject({ chunkDigests: [digest] });
});

test("chunks that are gone are stored again", async () => {
  const digest = await store(randomBytes(3 * MIB));
  const { chunkDigests } = await split(digest);
  const [gone] = chunkDigests;
  if (gone === undefined) throw new Error("no chunks");
  await forget(gone);
  expect(await missing(...chunkDigests)).toEqual([gone]);
  expect((await split(digest)).chunkDigests).toEqual(chunkDigests);
  expect(await missing(...chunkDigests)).toEqual([]);
});

test("a blob that is not stored can't be split, even if its chunks are", async () => {
  for (const size of [10, 3 * MIB]) {
    const bytes = randomBytes(size);
    expect(await codeOf(split(digestOf(bytes)))).toBe("NotFound");
    const digest = await store(bytes);
    await split(digest);
    await forget(digest);
    expect(await codeOf(split(digest))).toBe("NotFound");
  }
});

// To be stored in a row, as one object, and in parts; of chunks that are rows, objects, and too large to be held.
test.each([
  ["a row", [100, 200, 1]],
  ["an object", [16 * KIB, 0, 16 * KIB + 1, 100, 900 * KIB]],
  ["an object in parts", [5 * MIB, 1, 3 * MIB, 3 * MIB, 700 * KIB]],
])("a blob that becomes %s is spliced from its chunks, and is there (buildbuddy#12269)", async (_what, sizes) => {
  const bytes = randomBytes(sizes.reduce((sum, size) => sum + size, 0));
  const chunkDigests = await Promise.all(cut(bytes, ...sizes).map(store));
  const blobDigest = digestOf(bytes);
  expect(await missing(blobDigest)).toEqual([blobDigest]);
  const chunkingFunction = ChunkingFunction_Value.REP_MAX_CDC;
  const request = { instanceName, blobDigest, chunkDigests, chunkingFunction };
  expect((await clients.cas.spliceBlob(request)).blobDigest).toEqual(blobDigest);
  expect(await missing(blobDigest)).toEqual([]);
  expect((await read(blobDigest)).equals(bytes)).toBe(true);
  // It is split into what it was spliced from. How that was cut is only what one client said, and no fact for others.
  if (bytes.length > 128 * KIB) {
    expect(await split(blobDigest)).toMatchObject({ chunkDigests, chunkingFunction: ChunkingFunction_Value.UNKNOWN });
  }
  expect((await clients.cas.spliceBlob(request)).blobDigest).toEqual(blobDigest);
});

test("by another digest function", async () => {
  const digestFunction = DigestFunction_Value.BLAKE3;
  const blake3Of = (bytes: Uint8Array) => ({
    hash: Buffer.from(blake3(bytes)).toString("hex"),
    sizeBytes: BigInt(bytes.length),
  });
  const [first, second] = [randomBytes(20 * KIB), randomBytes(200 * KIB)];
  const chunkDigests = [first, second].map(blake3Of);
  const requests = [first, second].map((data, i) => ({ data, digest: chunkDigests[i] ?? blake3Of(data) }));
  await clients.cas.batchUpdateBlobs({ instanceName, requests, digestFunction });
  const blobDigest = blake3Of(Buffer.concat([first, second]));
  await clients.cas.spliceBlob({ instanceName, blobDigest, chunkDigests, digestFunction });
  const again = await clients.cas.splitBlob({ instanceName, blobDigest, digestFunction });
  expect(again.chunkDigests).toMatchObject(chunkDigests);
});

test("what the chunks don't make is refused, and nothing is stored", async () => {
  const bytes = randomBytes(200 * KIB);
  const sizes = [100 * KIB, 50 * KIB, 50 * KIB];
  const chunkDigests = await Promise.all(cut(bytes, ...sizes).map(store));
  const blobDigest = digestOf(bytes);
  const splice = (digests: Digest[]) =>
    refusalOf(clients.cas.spliceBlob({ instanceName, blobDigest, chunkDigests: digests }));
  const [first, second, third] = chunkDigests;
  if (first === undefined || second === undefined || third === undefined) throw new Error("no chunks");

  const shuffled = await splice([first, third, second]);
  expect(await codeOf(Promise.reject(shuffled))).toBe("InvalidArgument");
  expect(shuffled.rawMessage).toContain("the bytes sent for blob");
  const fewer = await splice([first, second]);
  expect(await codeOf(Promise.reject(fewer))).toBe("InvalidArgument");
  expect(fewer.rawMessage).toContain(`have ${150 * KIB} bytes instead of ${200 * KIB}`);
  const [absent, other] = cut(randomBytes(100 * KIB), 50 * KIB, 50 * KIB).map(digestOf);
  if (absent === undefined || other === undefined) throw new Error("no chunks");
  const gone = await splice([first, absent, other]);
  expect(await codeOf(Promise.reject(gone))).toBe("NotFound");
  const [failure] = gone.findDetails(PreconditionFailureSchema);
  expect(failure?.violations.map(({ subject }) => subject)).toEqual(
    [absent, other].map(({ hash, sizeBytes }) => `blobs/${hash}/${sizeBytes}`),
  );
  const many = await splice(Array.from({ length: 20_001 }, () => first));
  expect(many.rawMessage).toContain("20001 chunks; at most 20000");
  expect(await missing(blobDigest)).toEqual([blobDigest]);
  expect(await codeOf(split(blobDigest))).toBe("NotFound");
});

test("a blob that would be too many chunks is not split", async () => {
  // Whether it is there is not even asked.
  const huge = { ...digestOf(randomBytes(3)), sizeBytes: 11n << 30n };
  const refusal = await refusalOf(split(huge));
  expect(await codeOf(Promise.reject(refusal))).toBe("InvalidArgument");
  expect(refusal.rawMessage).toContain("read it by ByteStream");
});

test("the empty blob is made of nothing", async () => {
  const blobDigest = digestOf(new Uint8Array(0));
  expect((await clients.cas.spliceBlob({ instanceName, blobDigest, chunkDigests: [] })).blobDigest).toEqual(blobDigest);
});
