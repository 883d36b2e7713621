import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { BridgeLimits } from "../../../bridge/limits.ts";
import { ByteStream } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "../bridges.ts";
import { CasEndpoint, hashOf, readName } from "../cas-endpoint.ts";
import { NativeClient } from "../native-client.ts";

const { read } = ByteStream.method;
const BATCH = "BatchReadBlobs";
const DATA = Buffer.from("the blob");
const HASH = hashOf(DATA);

async function start(limits: Partial<BridgeLimits> = {}) {
  const cas = new CasEndpoint();
  cas.blobs.set(HASH, DATA);
  const bridge = await startTestBridge(await cas.start(), limits);
  return { cas, client: new NativeClient(bridge.port) };
}

test("with 40 ms to the endpoint, 1,000 blobs of 1 KiB by 100 streams take at most a fifth of the requests", async () => {
  const { cas, client } = await start();
  cas.latencyMs = 40;
  const blobs = Array.from({ length: 1000 }, (_, index) => Buffer.alloc(1024, `${index} `));
  for (const data of blobs) cas.blobs.set(hashOf(data), data);
  const queue = blobs.values();
  let same = 0;
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      for (const data of queue) {
        const { messages } = await client.readAll(read, { resourceName: readName(data) });
        same += Buffer.compare(Buffer.concat(messages.map((message) => message.data)), data) === 0 ? 1 : 0;
      }
    }),
  );
  expect(same).toBe(1000);
  expect(cas.calls.length).toBeLessThanOrEqual(200);
});

test("a read that comes alone goes at once, whatever the window is", async () => {
  const { cas, client } = await start({ batchWindowMs: 60_000 });
  const { messages, status } = await client.readAll(read, { resourceName: readName(DATA) });
  expect(status.code).toBe(0);
  expect(messages.map(({ data }) => Buffer.from(data))).toEqual([DATA]);
  expect(cas.calls).toEqual([BATCH]);
});

test("the empty blob is one empty message", async () => {
  const { cas, client } = await start();
  cas.blobs.set(hashOf(new Uint8Array()), new Uint8Array());
  const { messages, status } = await client.readAll(read, { resourceName: readName(new Uint8Array()) });
  expect(status.code).toBe(0);
  expect(messages).toMatchObject([{ data: new Uint8Array() }]);
});

describe("what a batch can't answer is read by itself, with the endpoint's answer", () => {
  test("a blob that is missing", async () => {
    const { cas, client } = await start();
    const missing = Buffer.from("missing");
    const { status } = await client.readAll(read, { resourceName: readName(missing) });
    expect(status).toMatchObject({ code: Code.NotFound, details: `no blob ${readName(missing)}` });
    expect(cas.calls).toEqual([BATCH, "Read"]);
  });

  test.each([
    ["without the blob", []],
    ["with half of it", [{ digest: { hash: HASH, sizeBytes: 8n }, data: DATA.subarray(4) }]],
    ["with it compressed", [{ digest: { hash: HASH, sizeBytes: 8n }, data: DATA, compressor: 1 }]],
    ["about another blob", [{ digest: { hash: HASH, sizeBytes: 9n }, data: DATA }]],
  ])("an answer %s", async (_what, responses) => {
    const { cas, client } = await start();
    cas.onRead = () => responses;
    const { messages } = await client.readAll(read, { resourceName: readName(DATA) });
    expect(messages.map(({ data }) => Buffer.from(data))).toEqual([DATA]);
    expect(cas.calls).toEqual([BATCH, "Read"]);
  });
});

describe("goes to the endpoint as it is", () => {
  test.each([
    ["a part from the middle", { readOffset: 2n }],
    ["the beginning", { readLimit: 2n }],
    ["a negative offset", { readOffset: -1n }],
    ["a compressed blob", { resourceName: `main/compressed-blobs/zstd/${HASH}/8` }],
    ["what is no blob", { resourceName: "operations/1/stdout" }],
    ["a hash that is none", { resourceName: "main/blobs/xyz/8" }],
    ["a large blob", { resourceName: `main/blobs/${HASH}/16385` }],
  ])("%s", async (_what, request) => {
    const { cas, client } = await start();
    await client.readAll(read, { resourceName: readName(DATA), ...request });
    expect(cas.calls).toEqual(["Read"]);
  });

  test("any blob with batches off", async () => {
    const { cas, client } = await start({ batchWindowMs: 0 });
    await client.readAll(read, { resourceName: readName(DATA) });
    expect(cas.calls).toEqual(["Read"]);
  });
});

test("a limit that the blob is within is none", async () => {
  const { cas, client } = await start();
  await client.readAll(read, { resourceName: readName(DATA), readLimit: 8n });
  expect(cas.calls).toEqual([BATCH]);
});
