import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Digest } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { codeOf, collect, connectClients, digestOf, streamOf, writeRequests, type Clients } from "../clients.ts";

const MIB = 1 << 20;

const configOf = (store: object) =>
  JSON.stringify({
    stores: { MAIN_STORE: { shards: 1, ...store } },
    schedulers: { M: {} },
    services: { execution: [{ instance_name: "main", scheduler: "M", cas_store: "MAIN_STORE" }] },
  });

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startWorker({ config: configOf({ colo_cache: true }) });
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

async function store(bytes: Uint8Array, { byteStream } = clients): Promise<Digest> {
  const digest = digestOf(bytes);
  const resourceName = `main/uploads/${crypto.randomUUID()}/blobs/${digest.hash}/${digest.sizeBytes}`;
  await byteStream.write(streamOf(writeRequests(resourceName, bytes, { chunkBytes: MIB })));
  return digest;
}

async function read({ hash, sizeBytes }: Digest, range: object = {}, { byteStream } = clients): Promise<Buffer> {
  const resourceName = `main/blobs/${hash}/${sizeBytes}`;
  return Buffer.concat((await collect(byteStream.read({ resourceName, ...range }))).map(({ data }) => data));
}

/** Removes the object of a blob, and returns its key. */
async function removeObject({ hash }: Digest, { mf } = worker): Promise<string> {
  const bucket = await mf.getR2Bucket("CAS");
  const [object] = (await bucket.list({ prefix: `MAIN_STORE/sha256/${hash}` })).objects;
  if (object === undefined) throw new Error("there is no object");
  await bucket.delete(object.key);
  return object.key;
}

async function isCached({ hash, sizeBytes }: Digest): Promise<boolean> {
  const [row] = await worker.shardSql(0, "SELECT upload_id FROM blobs WHERE hash = unhex(?)", hash);
  const caches = await worker.mf.getCaches();
  const url = `https://blobs.invalid/MAIN_STORE/sha256/${hash}/${sizeBytes}/${String(row?.["upload_id"])}`;
  const response = await caches.default.match(url);
  await response?.arrayBuffer();
  return response !== undefined;
}

test("over HTTP, too", async () => {
  const bytes = randomBytes(300_000);
  const digest = await store(bytes);
  const get = async (headers: Record<string, string> = {}) => {
    const url = `${worker.url}/main/cas/${digest.hash}`;
    const response = await fetch(url, { headers: { connection: "close", ...headers } });
    return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
  };
  expect(await get()).toEqual({ status: 200, body: bytes });
  await expect.poll(() => isCached(digest)).toBe(true);
  await removeObject(digest);
  expect(await get()).toEqual({ status: 200, body: bytes });
  expect(await get({ range: "bytes=5-9" })).toEqual({ status: 206, body: bytes.subarray(5, 10) });
});

// As one object, and in parts.
test.each([100_000, 9 * MIB])("a blob of %i bytes that was read once is read without R2", async (size) => {
  const bytes = randomBytes(size);
  const digest = await store(bytes);
  expect((await read(digest)).equals(bytes)).toBe(true);
  await expect.poll(() => isCached(digest)).toBe(true);
  await removeObject(digest);
  expect((await read(digest)).equals(bytes)).toBe(true);
  const part = await read(digest, { readOffset: 1000n, readLimit: 70_000n });
  expect(part.equals(bytes.subarray(1000, 71_000))).toBe(true);
  const end = await read(digest, { readOffset: BigInt(size - 10) });
  expect(end.equals(bytes.subarray(size - 10))).toBe(true);
  const { responses } = await clients.cas.batchReadBlobs({ instanceName: "main", digests: size < MIB ? [digest] : [] });
  for (const { data } of responses) expect(Buffer.from(data).equals(bytes)).toBe(true);
});

test("what the index does not call live is not served, though it is in the cache", async () => {
  const bytes = randomBytes(100_000);
  const digest = await store(bytes);
  await read(digest);
  await expect.poll(() => isCached(digest)).toBe(true);
  const rows = await worker.shardSql(0, "SELECT 1 FROM blobs WHERE hash = unhex(?)", digest.hash);
  expect(rows.length).toBe(1);
  await worker.shardSql(0, "DELETE FROM blobs WHERE hash = unhex(?)", digest.hash);
  expect(await codeOf(read(digest))).toBe("NotFound");
});

test("a part that is read is not taken for the whole", async () => {
  const bytes = randomBytes(100_000);
  const digest = await store(bytes);
  expect((await read(digest, { readLimit: 99_999n })).equals(bytes.subarray(0, 99_999))).toBe(true);
  expect(await isCached(digest)).toBe(false);
  expect((await read(digest)).equals(bytes)).toBe(true);
});

test("a reader who stops leaves nothing in the cache, and nobody else waits", async () => {
  const bytes = randomBytes(20 * MIB);
  const digest = await store(bytes);
  const resourceName = `main/blobs/${digest.hash}/${digest.sizeBytes}`;
  for await (const { data } of clients.byteStream.read({ resourceName })) {
    expect(data.length).toBeGreaterThan(0);
    break;
  }
  expect(await isCached(digest)).toBe(false);
  expect((await read(digest)).equals(bytes)).toBe(true);
  await expect.poll(() => isCached(digest)).toBe(true);
});

test("it is off unless the store asks for it", async () => {
  const plain = await startWorker({ config: configOf({}) });
  try {
    const plainClients = connectClients(plain.url);
    const digest = await store(randomBytes(100_000), plainClients);
    await read(digest, {}, plainClients);
    await removeObject(digest, plain);
    expect(await codeOf(read(digest, {}, plainClients))).toBe("NotFound");
  } finally {
    await plain.dispose();
  }
});
