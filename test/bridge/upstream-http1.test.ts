import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { GRPC_WEB, OK_TRAILERS, startRawEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";
import { connect, endingOf, open } from "./raw-client.ts";

const { queryWriteStatus, read } = ByteStream.method;
const MESSAGE = encodeFrame(new Uint8Array());

test.each([
  ["an answer", GRPC_WEB, Buffer.concat([MESSAGE, OK_TRAILERS])],
  ["a refusal in the trailers", GRPC_WEB, Buffer.concat([encodeFrame(Buffer.from("grpc-status: 5"), 0x80)])],
  ["a refusal in the head", { ...GRPC_WEB, "grpc-status": "5" }, new Uint8Array()],
])("after %s the connection carries the next call", async (_what, headers, body) => {
  const connections = new Set();
  const endpoint = await startRawEndpoint((request, response) => {
    connections.add(request.socket);
    request.resume().once("end", () => response.writeHead(200, headers).end(body));
  });
  const client = new NativeClient((await startTestBridge(endpoint)).port);
  for (let calls = 0; calls < 5; calls++) {
    await client.unary(queryWriteStatus, {});
  }
  expect(connections.size).toBe(1);
});

test("a call may be silent for longer than an unused connection is kept", async () => {
  const endpoint = await startRawEndpoint((_request, response) => {
    response.writeHead(200, GRPC_WEB).write(MESSAGE);
    // The silence is the matter of the test.
    void sleep(60).then(() => response.end(Buffer.concat([MESSAGE, OK_TRAILERS])));
  });
  const client = new NativeClient((await startTestBridge(endpoint, { upstreamIdleMs: 10 })).port);
  const { messages, status } = await client.readAll(read, {});
  expect(status.code).toBe(0);
  expect(messages).toHaveLength(2);
});

test("an unused connection is closed by the bridge, before the endpoint would", async () => {
  const closed = Promise.withResolvers<undefined>();
  const endpoint = await startRawEndpoint((request, response) => {
    request.socket.once("close", () => {
      closed.resolve(undefined);
    });
    request.resume();
    response.writeHead(200, GRPC_WEB).end(Buffer.concat([MESSAGE, OK_TRAILERS]));
  });
  const client = new NativeClient((await startTestBridge(endpoint, { upstreamIdleMs: 10 })).port);
  await client.unary(queryWriteStatus, {});
  await closed.promise;
});

test("an answer to an upload that the endpoint doesn't read to its end is not lost with the connection", async () => {
  // As workerd does it: the answer, then the end of the connection, with most of the request unread.
  const endpoint = await startRawEndpoint((request, response) => {
    response.writeHead(200, GRPC_WEB).end(Buffer.concat([MESSAGE, OK_TRAILERS]), () => {
      request.socket.resetAndDestroy();
    });
  });
  const { port } = await startTestBridge(endpoint);
  const upload = encodeFrame(new Uint8Array(4 * 1024 * 1024));
  for (let uploads = 0; uploads < 50; uploads++) {
    const stream = open(connect(port), { ":path": "/google.bytestream.ByteStream/Write" });
    const ending = endingOf(stream);
    stream.write(upload);
    expect((await ending).trailers["grpc-status"]).toBe("0");
  }
});
