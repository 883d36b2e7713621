import { randomBytes } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  BatchReadBlobsResponseSchema,
  BatchUpdateBlobsResponseSchema,
  type Digest,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { connectClients, digestOf, refusalOf, type Clients } from "../clients.ts";

const instanceName = "main";
const MAX_MESSAGE_BYTES = 4 << 20;
const COUNT = 35_000;

/** All that a batch asks for comes to one shard, whose statements take parameters of 2 MB. */
const config = `{
  stores: { MAIN_STORE: { shards: 1 } },
  schedulers: { MAIN_SCHEDULER: {} },
  services: { execution: [{
    instance_name: "main", scheduler: "MAIN_SCHEDULER", cas_store: "MAIN_STORE", digest_functions: ["sha256", "sha512"],
  }] },
}`;

let worker: TestWorker;
let clients: Clients;
const logged: string[] = [];
beforeAll(async () => {
  worker = await startWorker({ config, onLog: (line) => logged.push(line) });
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

const blobs = Array.from({ length: COUNT }, () => randomBytes(16));
const uploads = blobs.map((data) => ({ data, digest: digestOf(data) }));
const codes = (responses: readonly { readonly status?: { readonly code: number } | undefined }[]) => [
  ...new Set(responses.map(({ status }) => status?.code)),
];

test("35,000 tiny blobs are missed, stored and read in one batch each, and no answer is larger than clients accept", async () => {
  const digests = uploads.map(({ digest }) => digest);
  const missing = await clients.cas.batchReadBlobs({ instanceName, digests });
  expect(codes(missing.responses)).toEqual([Code.NotFound]);
  expect(missing.responses[0]?.status?.message).toContain("is not in the CAS");
  expect(toBinary(BatchReadBlobsResponseSchema, missing).length).toBeLessThan(MAX_MESSAGE_BYTES);

  const stored = await clients.cas.batchUpdateBlobs({ instanceName, requests: uploads });
  expect(codes(stored.responses)).toEqual([0]);
  const read = await clients.cas.batchReadBlobs({ instanceName, digests });
  expect(codes(read.responses)).toEqual([0]);
  expect(read.responses.every(({ data }, i) => blobs[i]?.equals(data))).toBe(true);
  expect(toBinary(BatchReadBlobsResponseSchema, read).length).toBeLessThan(MAX_MESSAGE_BYTES);
});

test("35,000 blobs that don't have their digests are each refused, and the first ones told why", async () => {
  const requests = uploads.map(({ digest }) => ({ digest, data: new Uint8Array(16) }));
  const answer = await clients.cas.batchUpdateBlobs({ instanceName, requests });
  expect(codes(answer.responses)).toEqual([Code.InvalidArgument]);
  expect(answer.responses[0]?.status?.message).toContain("have hash");
  expect(toBinary(BatchUpdateBlobsResponseSchema, answer).length).toBeLessThan(MAX_MESSAGE_BYTES);
});

test("a batch whose answer would be larger than clients accept is refused, naming the limit and the remedy", async () => {
  const digests = Array.from({ length: 60_000 }, (_, i): Pick<Digest, "hash" | "sizeBytes"> => ({
    hash: i.toString(16).padStart(64, "0"),
    sizeBytes: 1n,
  }));
  const refusals = await Promise.all([
    refusalOf(clients.cas.batchReadBlobs({ instanceName, digests })),
    refusalOf(clients.cas.batchUpdateBlobs({ instanceName, requests: digests.map((digest) => ({ digest })) })),
    refusalOf(clients.cas.findMissingBlobs({ instanceName, blobDigests: digests })),
  ]);
  for (const refusal of refusals) {
    expect(Code[refusal.code]).toBe("InvalidArgument");
    expect(refusal.rawMessage).toContain(`clients accept at most ${MAX_MESSAGE_BYTES}`);
    expect(refusal.rawMessage).toMatch(/fewer (blobs|digests)/);
  }
});

test("a thousand blobs of as many bytes as a batch may have are no such batch, whatever the digest function", async () => {
  const sizeBytes = BigInt(Math.floor((MAX_MESSAGE_BYTES - (128 << 10)) / 1000));
  for (const hashLength of [64, 128]) {
    const digests = Array.from({ length: 1000 }, (_, i) => ({
      hash: i.toString(16).padStart(hashLength, "0"),
      sizeBytes,
    }));
    expect(codes((await clients.cas.batchReadBlobs({ instanceName, digests })).responses)).toEqual([Code.NotFound]);
  }
});

test("what went wrong for all of a batch is logged once", async () => {
  await worker.shardSql(0, "ALTER TABLE blob_bytes RENAME TO gone");
  logged.length = 0;
  const fresh = Array.from({ length: 500 }, () => randomBytes(20));
  const requests = fresh.map((data) => ({ data, digest: digestOf(data) }));
  const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
  expect(codes(responses)).toEqual([Code.Internal]);
  expect(new Set(responses.map(({ status }) => status?.message)).size).toBe(1);
  expect(logged.filter((line) => line.includes("unexpected error")).length).toBe(1);
});
