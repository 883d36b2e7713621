import { randomBytes, randomUUID } from "node:crypto";
import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  TreeSchema,
  type ActionResultSchema,
  type Digest,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { configOf } from "../../durable-objects/cache-shard/store-fixture.ts";
import { startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";
import { connectClients, digestOf, streamOf, writeRequests, type Clients } from "../clients.ts";

// What a call costs is how often it goes to other places, and how often one after another: a round to shards far away is
// many milliseconds, and each call is billed.

const instanceName = "main";
const SHARDS = 4;

let worker: FaultyWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startFaultyWorker({ config: configOf({ shards: SHARDS }) });
  clients = connectClients(worker.url);
  // Every shard is there, and the Worker knows the layout.
  await store(Array.from({ length: 200 }, () => randomBytes(16)));
});
afterAll(() => worker.dispose());
beforeEach(() => worker.plan(undefined));

async function store(blobs: readonly Uint8Array[]): Promise<Digest[]> {
  const requests = blobs.map((data) => ({ data, digest: digestOf(data) }));
  const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
  expect(responses.every(({ status }) => status?.code === 0)).toBe(true);
  return requests.map(({ digest }) => digest);
}

/** How often each method of a shard or of R2 is called in the course of `act`. */
async function callsOf(act: () => Promise<unknown>): Promise<Record<string, number>> {
  // Nothing goes wrong at so late a call; those before it are counted.
  await worker.plan({ at: 1_000_000, effect: "fail-before" });
  await act();
  const { calls } = await worker.report();
  await worker.plan(undefined);
  return Object.fromEntries(
    [...new Set(calls)].toSorted().map((name) => [name, calls.filter((call) => call === name).length]),
  );
}

const some = (count: number, size = 16) => Array.from({ length: count }, () => randomBytes(size));

test("FindMissingBlobs of 12,000 digests is one call to each shard", async () => {
  const blobDigests = some(12_000).map(digestOf);
  expect(await callsOf(() => clients.cas.findMissingBlobs({ instanceName, blobDigests }))).toEqual({
    findMissing: SHARDS,
  });
});

test("batches of small blobs are one call to each shard, and none to R2", async () => {
  const requests = some(1000, 1024).map((data) => ({ data, digest: digestOf(data) }));
  expect(await callsOf(() => clients.cas.batchUpdateBlobs({ instanceName, requests }))).toEqual({
    insertInline: SHARDS,
  });
  const digests = requests.map(({ digest }) => digest);
  expect(await callsOf(() => clients.cas.batchReadBlobs({ instanceName, digests }))).toEqual({ lookUp: SHARDS });
});

async function hit(
  actionResult: MessageInitShape<typeof ActionResultSchema>,
  wanted: { inlineStdout?: boolean } = {},
): Promise<Record<string, number>> {
  const actionDigest = digestOf(new TextEncoder().encode(randomUUID()));
  await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult });
  return callsOf(() => clients.actionCache.getActionResult({ instanceName, actionDigest, ...wanted }));
}

test("a result without Trees is found complete in one round, whatever is inlined (bazel-remote#870)", async () => {
  const [stdoutDigest, ...files] = await store(some(200));
  const outputFiles = files.map((digest, i) => ({ path: `file${i}`, digest }));
  expect(await hit({ outputFiles, stdoutDigest })).toEqual({ getActionResult: 1, findMissing: SHARDS });
  expect(await hit({ outputFiles, stdoutDigest }, { inlineStdout: true })).toEqual({
    getActionResult: 1,
    findMissing: SHARDS,
    lookUp: 1,
  });
});

test("the files of all Trees of a result are one more round, and very many of one Tree one for every ten thousand", async () => {
  const digests = await store(some(200));
  const tree = (files: readonly Digest[]) =>
    toBinary(TreeSchema, create(TreeSchema, { root: { files: files.map((digest, i) => ({ name: `${i}`, digest })) } }));
  const trees = await store([tree(digests.slice(0, 100)), tree(digests.slice(100))]);
  const outputDirectories = trees.map((treeDigest, i) => ({ path: `directory${i}`, treeDigest }));
  const { findMissing, lookUp, ...others } = await hit({ outputDirectories });
  expect(others).toEqual({ getActionResult: 1 });
  // The Trees are two blobs, on one shard or two, which are looked for and read at the same time.
  expect(lookUp).toBeLessThanOrEqual(2);
  expect(findMissing).toBe(SHARDS + (lookUp ?? 0));

  const [digest] = digests;
  if (digest === undefined) throw new Error("nothing is stored");
  const wide = tree(Array.from({ length: 25_000 }, () => digest));
  const treeDigest = digestOf(wide);
  const name = `main/uploads/${randomUUID()}/blobs/${treeDigest.hash}/${treeDigest.sizeBytes}`;
  await clients.byteStream.write(streamOf(writeRequests(name, wide)));
  expect(await hit({ outputDirectories: [{ path: "wide", treeDigest }] })).toEqual({
    getActionResult: 1,
    findMissing: 1 + 3,
    lookUp: 1,
    "R2 get": 1,
  });
});
