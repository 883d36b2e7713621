import type { ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import type { BridgeLimits } from "../../bridge/limits.ts";
import {
  ActionCache,
  ContentAddressableStorage,
  Execution,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream, WriteRequestSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { GRPC_WEB, OK_TRAILERS, startRawEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";

const { findMissingBlobs } = ContentAddressableStorage.method;
const { getActionResult, updateActionResult } = ActionCache.method;
const { read, write } = ByteStream.method;

const EMPTY_MESSAGE = encodeFrame(new Uint8Array());
const DIGEST = { hash: "a".repeat(64), sizeBytes: 1n };

/** An endpoint that hears a whole request and then breaks the connection, `failures` times, until it answers. */
async function startFailing(failures: number, limits: Partial<BridgeLimits> = {}) {
  const requests: Buffer[] = [];
  const endpoint = await startRawEndpoint((request, response) => {
    void buffer(request).then((body) => {
      requests.push(body);
      if (requests.length <= failures) response.destroy();
      else answer(response);
    });
  });
  const client = new NativeClient((await startTestBridge(endpoint, limits)).port);
  return { client, requests };
}

function answer(response: ServerResponse): void {
  response.writeHead(200, GRPC_WEB).end(Buffer.concat([EMPTY_MESSAGE, OK_TRAILERS]));
}

test("a call that only reads is made again, whole, when its connection breaks", async () => {
  const { client, requests } = await startFailing(2);
  const blobDigests = Array.from({ length: 1000 }, () => DIGEST);
  expect((await client.unary(findMissingBlobs, { blobDigests })).status.code).toBe(0);
  expect(requests).toHaveLength(3);
  expect(requests[0]?.length).toBeGreaterThan(64_000);
  expect(requests[1]).toEqual(requests[0]);
  expect(requests[2]).toEqual(requests[0]);
});

test("so is one that the bridge makes itself", async () => {
  const { client, requests } = await startFailing(2);
  expect((await client.unary(getActionResult, { actionDigest: DIGEST })).status.code).toBe(0);
  expect(requests).toHaveLength(3);
});

test("it is made no more often than is allowed", async () => {
  const { client, requests } = await startFailing(Infinity, { repeats: 3 });
  expect((await client.unary(findMissingBlobs, {})).status.code).toBe(Code.Unavailable);
  expect(requests).toHaveLength(4);
});

test("a call that may have had its effect is not made again", async () => {
  const { client, requests } = await startFailing(Infinity);
  expect((await client.unary(updateActionResult, { actionDigest: DIGEST })).status.code).toBe(Code.Unavailable);
  expect((await client.readAll(Execution.method.execute, { actionDigest: DIGEST })).status.code).toBe(Code.Unavailable);
  const { call, ending } = client.clientStream(write);
  call.write({ resourceName: "what/is/this" });
  call.end();
  expect((await ending).status.code).toBe(Code.Unavailable);
  expect(requests).toHaveLength(3);
  expect(requests[2]).toEqual(
    Buffer.from(
      encodeFrame(toBinary(WriteRequestSchema, create(WriteRequestSchema, { resourceName: "what/is/this" }))),
    ),
  );
});

test("nor is one of whose answer the client has some", async () => {
  let calls = 0;
  const endpoint = await startRawEndpoint((request, response) => {
    calls++;
    request.resume();
    response.writeHead(200, GRPC_WEB).write(EMPTY_MESSAGE, () => response.destroy());
  });
  const client = new NativeClient((await startTestBridge(endpoint)).port);
  const { messages, status } = await client.readAll(read, { resourceName: "of a part", readOffset: 1n });
  expect(status.code).toBe(Code.Unavailable);
  expect(messages).toHaveLength(1);
  expect(calls).toBe(1);
});

test.each([
  ["alone", { repeatableRequestBytes: 1000 }],
  ["with the others", { repeatableRequestsBytes: 1000 }],
])("nor is one whose request is larger than may be held %s", async (_how, limits) => {
  const { client, requests } = await startFailing(1, limits);
  const blobDigests = Array.from({ length: 100 }, () => DIGEST);
  expect((await client.unary(findMissingBlobs, { blobDigests })).status.code).toBe(Code.Unavailable);
  expect(requests).toHaveLength(1);
  // What it held is given back.
  for (let call = 0; call < 20; call++) {
    expect((await client.unary(findMissingBlobs, { blobDigests: [DIGEST, DIGEST] })).status.code).toBe(0);
  }
});

test("the room that ended calls held is given back", async () => {
  const { client, requests } = await startFailing(1, { repeatableRequestsBytes: 200 });
  for (let call = 0; call < 10; call++) {
    expect((await client.unary(findMissingBlobs, { blobDigests: [DIGEST] })).status.code).toBe(0);
  }
  expect(requests).toHaveLength(11);
});
