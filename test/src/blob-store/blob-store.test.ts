import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Digest } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { RetryInfoSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
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

const MIB = 1 << 20;
const instanceName = "main";

/** A configuration whose only store is as `store` says. One shard, so that its rows are easily found, if not said else. */
const configOf = (store: object) =>
  JSON.stringify({
    stores: { MAIN_STORE: { shards: 1, ...store } },
    schedulers: { MAIN_SCHEDULER: {} },
    services: { execution: [{ instance_name: instanceName, scheduler: "MAIN_SCHEDULER", cas_store: "MAIN_STORE" }] },
  });

const uploadName = ({ hash, sizeBytes }: Digest) => `main/uploads/${randomUUID()}/blobs/${hash}/${sizeBytes}`;

async function store({ cas }: Clients, ...blobs: Uint8Array[]): Promise<Digest[]> {
  const requests = blobs.map((data) => ({ data, digest: digestOf(data) }));
  const { responses } = await cas.batchUpdateBlobs({ instanceName, requests });
  expect(responses.map(({ status }) => status?.message)).toEqual(blobs.map(() => ""));
  return blobs.map(digestOf);
}

async function storeOne(clients: Clients, blob: Uint8Array): Promise<Digest> {
  await store(clients, blob);
  return digestOf(blob);
}

async function missing({ cas }: Clients, ...blobDigests: Digest[]): Promise<Digest[]> {
  return (await cas.findMissingBlobs({ instanceName, blobDigests })).missingBlobDigests;
}

async function readAll({ byteStream }: Clients, { hash, sizeBytes }: Digest): Promise<Buffer> {
  const messages = await collect(byteStream.read({ resourceName: `main/blobs/${hash}/${sizeBytes}` }));
  return Buffer.concat(messages.map(({ data }) => data));
}

async function objectKeys({ mf }: TestWorker): Promise<string[]> {
  const bucket = await mf.getR2Bucket("CAS");
  return (await bucket.list()).objects.map(({ key }) => key);
}

describe("with one shard", () => {
  const lines: string[] = [];
  /** How many lines have this text once there are `count`: the log comes by another way than the answers. */
  const logged = (text: string, count = 1) =>
    expect.poll(() => lines.filter((line) => line.includes(text)).length).toBe(count);
  let worker: TestWorker;
  let clients: Clients;
  beforeAll(async () => {
    worker = await startWorker({ config: configOf({}), onLog: (line) => lines.push(line) });
    clients = connectClients(worker.url);
  });
  afterAll(() => worker.dispose());

  test("a use is recorded only when the last record is older than touch_interval_s", async () => {
    const lastUse = async (digest: Digest) => {
      const [row] = await worker.shardSql(0, "SELECT last_access_ms FROM blobs WHERE hash = unhex(?)", digest.hash);
      return Number(row?.["last_access_ms"]);
    };
    const setLastUse = (ms: number) => worker.shardSql(0, "UPDATE blobs SET last_access_ms = ?", ms);
    const [inRow, inR2] = [randomBytes(10), randomBytes(20_000)];
    const small = await storeOne(clients, inRow);
    const large = await storeOne(clients, inR2);
    const hourMs = 3_600_000;
    const uses = [
      () => missing(clients, digestOf(randomBytes(3)), small, large),
      () => clients.cas.batchReadBlobs({ instanceName, digests: [small, large] }),
      () => store(clients, inRow, inR2, randomBytes(11)),
    ];
    for (const use of uses) {
      const recent = Date.now() - hourMs / 2;
      await setLastUse(recent);
      await use();
      expect([await lastUse(small), await lastUse(large)]).toEqual([recent, recent]);
      const before = Date.now();
      await setLastUse(before - 2 * hourMs);
      await use();
      expect(await lastUse(small)).toBeGreaterThanOrEqual(before);
      expect(await lastUse(large)).toBeGreaterThanOrEqual(before);
    }
    const { responses } = await clients.cas.batchReadBlobs({ instanceName, digests: [small, large] });
    expect(responses.map(({ data }) => Buffer.from(data))).toEqual([inRow, inR2]);
  });

  test("a blob whose object is gone is never said to be there again, and can be stored again (nativelink#628)", async () => {
    const data = randomBytes(50_000);
    const digest = await storeOne(clients, data);
    const bucket = await worker.mf.getR2Bucket("CAS");
    const [key = ""] = (await objectKeys(worker)).filter((key) => key.includes(digest.hash));
    expect(key).toMatch(new RegExp(`^MAIN_STORE/sha256/${digest.hash}-50000/[0-9a-f-]{36}$`));
    await bucket.delete(key);
    expect(await codeOf(readAll(clients, digest))).toBe("NotFound");
    await logged("an indexed object is gone from R2");
    expect(await missing(clients, digest)).toEqual([digest]);
    await store(clients, data);
    expect((await readAll(clients, digest)).equals(data)).toBe(true);
  });

  test("a stored result that can't be read is no hit, and removed (bazel#8125)", async () => {
    const actionDigest = digestOf(randomBytes(8));
    for (const bytes of ["x'ff'", "x'1a020a05'"]) {
      await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult: { exitCode: 3 } });
      await worker.shardSql(0, `UPDATE action_results SET bytes = ${bytes} WHERE hash = unhex(?)`, actionDigest.hash);
      expect(await codeOf(clients.actionCache.getActionResult({ instanceName, actionDigest }))).toBe("NotFound");
      expect(await worker.shardSql(0, "SELECT * FROM action_results")).toEqual([]);
    }
    await logged("a stored action result is bad", 2);
  });

  test("nothing is lost when the object ends", async () => {
    const blobs = [randomBytes(100), randomBytes(20_000)];
    const digests = await store(clients, ...blobs);
    await worker.evictShard(0);
    expect(await missing(clients, ...digests)).toEqual([]);
    await worker.evictShard(0);
    const { responses } = await clients.cas.batchReadBlobs({ instanceName, digests });
    expect(responses.map(({ data }) => Buffer.from(data))).toEqual(blobs);
  });

  describe("an upload in parts", () => {
    const data = randomBytes(18 * MIB);
    const digest = digestOf(data);
    let resourceName: string;
    beforeEach(() => {
      resourceName = uploadName(digest);
    });
    afterEach(() => worker.shardSql(0, "DELETE FROM blobs WHERE upload_id IS NOT NULL"));

    const write = (options: Parameters<typeof writeRequests>[2], bytes: Uint8Array = data) =>
      clients.byteStream.write(streamOf(writeRequests(resourceName, bytes, { chunkBytes: MIB, ...options })));

    test("that was completed, but not indexed before everything died, is taken up, verified and indexed", async () => {
      await write({ finish: false }, data.subarray(0, 17 * MIB));
      const sessions = await worker.shardSql(0, "SELECT * FROM uploads");
      const parts = await worker.shardSql(0, "SELECT * FROM upload_parts");
      expect([sessions.length, parts.length]).toEqual([1, 2]);
      await write({ offsetBytes: 16 * MIB });
      expect(await worker.shardSql(0, "SELECT * FROM uploads")).toEqual([]);
      expect(await worker.shardSql(0, "SELECT * FROM upload_parts")).toEqual([]);

      // As it was between the completion and the index.
      await worker.shardSql(0, "DELETE FROM blobs");
      await restore("uploads", sessions);
      await restore("upload_parts", parts);
      expect(await missing(clients, digest)).toEqual([digest]);
      const { committedSize, complete } = await clients.byteStream.queryWriteStatus({ resourceName });
      expect([committedSize, complete]).toEqual([BigInt(16 * MIB), false]);
      expect((await write({ offsetBytes: 16 * MIB })).committedSize).toBe(BigInt(data.length));
      expect((await readAll(clients, digest)).equals(data)).toBe(true);
      expect(await worker.shardSql(0, "SELECT * FROM uploads")).toEqual([]);
    });

    test("whose parts R2 has dropped can only be begun again, and says so", async () => {
      await write({ finish: false }, data.subarray(0, 9 * MIB));
      const [session] = await worker.shardSql(0, "SELECT upload_id, r2_upload_id FROM uploads");
      const bucket = await worker.mf.getR2Bucket("CAS");
      const key = `MAIN_STORE/sha256/${digest.hash}-${data.length}/${String(session?.["upload_id"])}`;
      await bucket.resumeMultipartUpload(key, String(session?.["r2_upload_id"])).abort();
      const refusal = await refusalOf(write({ offsetBytes: 8 * MIB }));
      expect(await codeOf(Promise.reject(refusal))).toBe("Unavailable");
      expect(refusal.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n } }]);
      expect((await clients.byteStream.queryWriteStatus({ resourceName })).committedSize).toBe(0n);
      expect((await write({})).committedSize).toBe(BigInt(data.length));
    });

    test("that another call begins anew is aborted, and leaves nothing behind", async () => {
      await write({ finish: false }, data.subarray(0, 9 * MIB));
      await write({ finish: false }, data.subarray(0, 9 * MIB));
      expect((await worker.shardSql(0, "SELECT * FROM uploads")).length).toBe(1);
      expect((await worker.shardSql(0, "SELECT * FROM upload_parts")).length).toBe(1);
      expect((await write({ offsetBytes: 8 * MIB })).committedSize).toBe(BigInt(data.length));
      expect(await worker.shardSql(0, "SELECT * FROM upload_parts")).toEqual([]);
    });

    async function restore(table: string, rows: readonly Record<string, unknown>[]): Promise<void> {
      for (const row of rows) {
        const names = Object.keys(row);
        await worker.shardSql(
          0,
          `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`,
          ...Object.values(row),
        );
      }
    }
  });

  test("a database of a newer schema is served as it is, since a deploy may be rolled back", async () => {
    const digest = await storeOne(clients, randomBytes(10));
    await worker.shardSql(0, "UPDATE schema_version SET version = version + 1");
    const [version] = await worker.shardSql(0, "SELECT version FROM schema_version");
    await worker.evictShard(0);
    expect(await missing(clients, digest)).toEqual([]);
    expect(await worker.shardSql(0, "SELECT version FROM schema_version")).toEqual([version]);
  });
});

describe("as configured", () => {
  let worker: TestWorker | undefined;
  afterEach(async () => {
    await worker?.dispose();
    worker = undefined;
  });

  test("inline_max_bytes: 0 puts every blob in R2", async () => {
    worker = await startWorker({ config: configOf({ inline_max_bytes: 0 }) });
    const clients = connectClients(worker.url);
    const blobs = [1, 1000, 20_000].map((size) => randomBytes(size));
    const digests = await store(clients, ...blobs);
    const single = randomBytes(77);
    await clients.byteStream.write(streamOf(writeRequests(uploadName(digestOf(single)), single)));
    expect((await objectKeys(worker)).length).toBe(4);
    expect(await worker.shardSql(0, "SELECT * FROM blob_bytes")).toEqual([]);
    const read = await clients.cas.batchReadBlobs({ instanceName, digests });
    expect(read.responses.map(({ data }) => Buffer.from(data))).toEqual(blobs);
    expect((await readAll(clients, digestOf(single))).equals(single)).toBe(true);
    expect(await missing(clients, ...digests, digestOf(single), digestOf(new Uint8Array(0)))).toEqual([]);
  });

  test("inline_max_bytes keeps larger blobs in their rows, whole batches of them", async () => {
    worker = await startWorker({ config: configOf({ inline_max_bytes: MIB }) });
    const clients = connectClients(worker.url);
    const blobs = [MIB, MIB - 1, 500_000, 900_000, 100].map((size) => randomBytes(size));
    const digests = await store(clients, ...blobs);
    expect(await objectKeys(worker)).toEqual([]);
    for (const [i, digest] of digests.entries()) {
      expect((await readAll(clients, digest)).equals(blobs[i] ?? Buffer.alloc(0))).toBe(true);
    }
  });

  test("max_blob_bytes is told and kept", async () => {
    worker = await startWorker({ config: configOf({ max_blob_bytes: 1000 }) });
    const clients = connectClients(worker.url);
    const { cacheCapabilities } = await clients.capabilities.getCapabilities({ instanceName });
    expect(cacheCapabilities?.maxCasBlobSizeBytes).toBe(1000n);
    const [fits, tooLarge] = [randomBytes(1000), randomBytes(1001)];
    const requests = [fits, tooLarge].map((data) => ({ data, digest: digestOf(data) }));
    const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
    expect(responses.map(({ status }) => status?.code)).toEqual([0, 8]);
    expect(responses[1]?.status?.message).toContain("larger than the store's max_blob_bytes of 1000");
    const written = clients.byteStream.write(streamOf(writeRequests(uploadName(digestOf(tooLarge)), tooLarge)));
    expect(await codeOf(written)).toBe("ResourceExhausted");
  });

  test("a store goes by the number of shards that it was made with, whatever the configuration says since", async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), "remex-shards-"));
    try {
      const blobs = Array.from({ length: 30 }, () => randomBytes(20));
      const more = Array.from({ length: 30 }, () => randomBytes(20));
      const actionDigest = digestOf(randomBytes(4));
      for (const [shards, known, added] of [
        [3, [], blobs],
        [2, blobs, more],
        [7, [...blobs, ...more], []],
      ] as const) {
        worker = await startWorker({ dataDirectory, config: configOf({ shards }) });
        const clients = connectClients(worker.url);
        expect(await missing(clients, ...known.map(digestOf))).toEqual([]);
        await store(clients, ...added);
        if (known.length === 0) {
          await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult: { exitCode: 3 } });
        }
        expect((await clients.actionCache.getActionResult({ instanceName, actionDigest })).exitCode).toBe(3);
        await worker.dispose();
      }
      worker = undefined;
    } finally {
      await rm(dataDirectory, { recursive: true, force: true });
    }
  });
});
