import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  ContentAddressableStorage,
  ExecuteResponseSchema,
  Execution,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { OperationSchema } from "../../../protos/gen/google/longrunning/operations_pb.ts";
import type { BridgeLimits } from "../../../bridge/limits.ts";
import { startTestBridge } from "../bridges.ts";
import { CasEndpoint, digestOf } from "../cas-endpoint.ts";
import { NativeClient } from "../native-client.ts";

const { findMissingBlobs } = ContentAddressableStorage.method;
const A = Buffer.from("a");
const B = Buffer.from("b");
const MISSING = Buffer.from("missing");

async function start(limits: Partial<BridgeLimits> = {}) {
  const cas = new CasEndpoint();
  for (const data of [A, B]) cas.blobs.set(digestOf(data).hash, data);
  const bridge = await startTestBridge(await cas.start(), { existenceTtlMs: 60_000, ...limits });
  const client = new NativeClient(bridge.port);
  /** What is missing, by the bridge. */
  const missing = async (blobs: Uint8Array[], instanceName = "main", metadata = {}) => {
    const request = { instanceName, blobDigests: blobs.map(digestOf) };
    const { messages } = await client.unary(findMissingBlobs, request, { metadata });
    return messages[0]?.missingBlobDigests.map(({ hash }) => hash);
  };
  return { cas, client, missing };
}

test("blobs that were there are not asked for again, and the others are (bazel#13166)", async () => {
  const { cas, missing } = await start();
  expect(await missing([A, MISSING])).toEqual([digestOf(MISSING).hash]);
  expect(await missing([A])).toEqual([]);
  expect(cas.calls).toHaveLength(1);
  expect(await missing([A, B, MISSING])).toEqual([digestOf(MISSING).hash]);
  expect(cas.asked).toEqual([
    [A, MISSING].map((data) => digestOf(data).hash),
    [B, MISSING].map((data) => digestOf(data).hash),
  ]);
});

test("a blob that comes to be there is found to be", async () => {
  const { cas, missing } = await start();
  expect(await missing([MISSING])).toHaveLength(1);
  cas.blobs.set(digestOf(MISSING).hash, MISSING);
  expect(await missing([MISSING])).toEqual([]);
});

test("by default each is asked for each time", async () => {
  const cas = new CasEndpoint();
  const client = new NativeClient((await startTestBridge(await cas.start())).port);
  for (let time = 0; time < 2; time++) await client.unary(findMissingBlobs, { blobDigests: [digestOf(A)] });
  expect(cas.calls).toHaveLength(2);
});

test("a request about nothing is the endpoint's to answer", async () => {
  const { cas, missing } = await start();
  expect(await missing([])).toEqual([]);
  expect(cas.calls).toHaveLength(1);
});

test.each([
  ["another instance", "other", {}],
  ["another caller", "main", { authorization: "Bearer b" }],
])("%s's blobs are its own", async (_whose, instanceName, metadata) => {
  const { cas, missing } = await start();
  await missing([A]);
  await missing([A], instanceName, metadata);
  expect(cas.calls).toHaveLength(2);
});

describe("a request that is larger than may be held is passed on as it is", () => {
  /** Of about 70 bytes each. */
  const BLOBS = Array.from({ length: 100 }, () => A);
  const HASHES = BLOBS.map((data) => digestOf(data).hash);

  test.each([
    ["alone", { existenceRequestBytes: 1000 }],
    ["with the others", { existenceRequestsBytes: 1000 }],
  ])("%s", async (_how, limits) => {
    const { cas, missing } = await start(limits);
    expect(await missing([A])).toEqual([]);
    expect(await missing(BLOBS)).toEqual([]);
    expect(cas.asked).toEqual([HASHES.slice(0, 1), HASHES]);
    // What was held of it is given back.
    for (let call = 0; call < 20; call++) expect(await missing(BLOBS.slice(0, 5))).toEqual([]);
    expect(cas.asked).toHaveLength(2);
  });

  test("because of those that are on their way, until they are over", async () => {
    const { cas, missing } = await start({ existenceRequestsBytes: 10_000 });
    expect(await missing([A])).toEqual([]);
    const { promise: open, resolve } = Promise.withResolvers<undefined>();
    cas.hold = () => open;
    const slow = missing([...BLOBS, MISSING]);
    await expect.poll(() => cas.calls).toHaveLength(2);
    cas.hold = () => Promise.resolve();
    expect(await missing(BLOBS)).toEqual([]);
    expect(cas.asked.at(-1)).toEqual(HASHES);
    resolve(undefined);
    expect(await slow).toEqual([digestOf(MISSING).hash]);
    const asked = cas.asked.length;
    expect(await missing(BLOBS)).toEqual([]);
    expect(cas.asked).toHaveLength(asked);
  });

  test("and a call that its client gives up holds nothing any more", async () => {
    const { cas, client, missing } = await start({ existenceRequestsBytes: 10_000 });
    expect(await missing([A])).toEqual([]);
    cas.hold = () => new Promise(() => undefined);
    const request = { instanceName: "main", blobDigests: [...BLOBS, MISSING].map(digestOf) };
    expect((await client.unary(findMissingBlobs, request, { deadline: Date.now() + 500 })).status.code).toBe(
      Code.DeadlineExceeded,
    );
    cas.hold = () => Promise.resolve();
    const askedForBlobs = async (): Promise<number> => {
      const before = cas.asked.length;
      await missing(BLOBS);
      return cas.asked.length - before;
    };
    await expect.poll(askedForBlobs).toBe(0);
  });
});

describe("everything is forgotten when the endpoint says that something is missing", () => {
  const operation = (code: number) => {
    const response = create(ExecuteResponseSchema, { status: { code } });
    const value = anyPack(ExecuteResponseSchema, response);
    return create(OperationSchema, { name: "n", done: true, result: { case: "response", value } });
  };

  test.each([
    ["in an execution's result", 2, (cas: CasEndpoint) => (cas.operation = operation(Code.FailedPrecondition))],
    ["as an execution's end", 2, () => undefined],
    ["but not when an execution goes well", 1, (cas: CasEndpoint) => (cas.operation = operation(0))],
  ])("%s", async (_how, calls, arrange) => {
    const { cas, client, missing } = await start();
    arrange(cas);
    await missing([A]);
    await client.readAll(Execution.method.execute, {});
    await missing([A]);
    expect(cas.count("FindMissingBlobs")).toBe(calls);
  });
});
