import type { ServerResponse } from "node:http";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { pathOf } from "../../bridge/method-path.ts";
import {
  ActionCache,
  ExecuteRequestSchema,
  Execution,
  GetActionResultRequestSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream, QueryWriteStatusRequestSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { Health, HealthCheckResponse_ServingStatus } from "../../protos/gen/grpc/health/v1/health_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { GRPC_WEB, OK_TRAILERS, startRawEndpoint, trailerFrame } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";
import { connect, endingOf as endingOfStream, open } from "./raw-client.ts";

const { queryWriteStatus, read } = ByteStream.method;
const EMPTY_MESSAGE = encodeFrame(new Uint8Array());

/** What a client sees of a server stream that the endpoint answers so. */
async function endingOf(answer: (response: ServerResponse) => void) {
  const endpoint = await startRawEndpoint((request, response) => {
    request.resume();
    answer(response);
  });
  return new NativeClient((await startTestBridge(endpoint)).port).readAll(read, {});
}

test("an endpoint that can't be reached is UNAVAILABLE, and the message names it and the remedy", async () => {
  const client = new NativeClient((await startTestBridge(new URL("http://127.0.0.1:1"))).port);
  const { status } = await client.unary(queryWriteStatus, {});
  expect(status.code).toBe(Code.Unavailable);
  expect(status.details).toMatch(/http:\/\/127\.0\.0\.1:1\/.*ECONNREFUSED.*check that it is running/);
});

test("an endpoint that comes up is found", async () => {
  let up = false;
  const endpoint = await startRawEndpoint((_request, response) => {
    if (up) {
      response.writeHead(200, GRPC_WEB).end(Buffer.concat([EMPTY_MESSAGE, OK_TRAILERS]));
    } else {
      response.destroy();
    }
  });
  const client = new NativeClient((await startTestBridge(endpoint)).port);
  expect((await client.unary(queryWriteStatus, {})).status.code).toBe(Code.Unavailable);
  up = true;
  expect((await client.unary(queryWriteStatus, {})).status.code).toBe(0);
});

describe("a response without trailers is never OK", () => {
  test.each([
    ["that ends after a message", (response: ServerResponse) => response.end(EMPTY_MESSAGE)],
    ["that ends within a message", (response: ServerResponse) => response.end(Uint8Array.of(0, 0, 0, 0, 9, 1))],
    ["that ends within the trailers", (response: ServerResponse) => response.end(OK_TRAILERS.subarray(0, -4))],
    [
      "whose connection breaks",
      (response: ServerResponse) =>
        response.write(EMPTY_MESSAGE, () => {
          response.destroy();
        }),
    ],
  ])("%s", async (_how, answer) => {
    const { status } = await endingOf((response) => answer(response.writeHead(200, GRPC_WEB)));
    expect(status.code).toBe(Code.Unavailable);
    expect(status.details).toMatch(/ended its response without a status/);
  });
});

describe("a status counts, though the response doesn't end after it", () => {
  const statuses: [string, (response: ServerResponse) => unknown][] = [
    ["in trailers", (response) => response.writeHead(200, GRPC_WEB).write(trailerFrame("grpc-status: 9\r\n"))],
    [
      "in the head",
      (response) => {
        response.writeHead(200, { ...GRPC_WEB, "grpc-status": "9" }).flushHeaders();
      },
    ],
  ];
  const methods = [
    ["that is carried", QueryWriteStatusRequestSchema, queryWriteStatus],
    ["that is looked into", GetActionResultRequestSchema, ActionCache.method.getActionResult],
    ["that executes", ExecuteRequestSchema, Execution.method.execute],
  ] as const;

  const cases = methods.flatMap(([which, schema, method]) =>
    statuses.map(([where, answer]) => [`${which}: ${where}`, { schema, method, answer }] as const),
  );

  test.each(cases)("of a call %s", async (_which, { schema, method, answer }) => {
    const endpoint = await startRawEndpoint((request, response) => {
      request.resume();
      answer(response);
    });
    const session = connect((await startTestBridge(endpoint)).port);
    const call = open(session, { ":path": pathOf(method) });
    const { trailers } = await endingOfStream(call.end(encodeFrame(toBinary(schema, create(schema)))));
    expect(trailers["grpc-status"]).toBe(String(Code.FailedPrecondition));
  });
});

test("headers that are more than the client reads cost their metadata, and no other call", async () => {
  const endpoint = await startRawEndpoint((_request, response) => {
    const padding = Object.fromEntries([1, 2, 3].map((index) => [`x-pad-${index}`, "x".repeat(60_000)]));
    response.writeHead(200, { ...GRPC_WEB, ...padding, "x-small": "a" });
    response.end(Buffer.concat([EMPTY_MESSAGE, OK_TRAILERS]));
  });
  const session = connect((await startTestBridge(endpoint)).port);
  for (let count = 0; count < 2; count += 1) {
    const { headers, body, trailers } = await endingOfStream(
      open(session, { ":path": pathOf(read) }).end(EMPTY_MESSAGE),
    );
    expect(trailers["grpc-status"]).toBe("0");
    expect(headers["x-small"]).toBeUndefined();
    expect(body).toHaveLength(5);
  }
});

test("trailers that are about a body are not passed on", async () => {
  const { status } = await endingOf((response) =>
    response.writeHead(200, GRPC_WEB).end(trailerFrame("content-length: 5\r\ncontent-type: a/b\r\ngrpc-status: 9\r\n")),
  );
  expect(status.code).toBe(Code.FailedPrecondition);
});

test("a switch of protocols that nobody asked for is UNAVAILABLE, and no health", async () => {
  const endpoint = await startRawEndpoint(({ socket }) => {
    socket.end("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
  });
  const client = new NativeClient((await startTestBridge(endpoint)).port);
  expect((await client.unary(queryWriteStatus, {})).status.code).toBe(Code.Unavailable);
  const { messages } = await client.unary(Health.method.check, {});
  expect(messages[0]?.status).toBe(HealthCheckResponse_ServingStatus.NOT_SERVING);
});

test("a response without anything is UNKNOWN", async () => {
  const { status } = await endingOf((response) => response.writeHead(200, GRPC_WEB).end());
  expect(status.code).toBe(Code.Unknown);
  expect(status.details).toMatch(/an answer without a status/);
});

test("trailers that are there count, though the connection breaks after them", async () => {
  const { messages, status } = await endingOf((response) =>
    response.writeHead(200, GRPC_WEB).write(Buffer.concat([EMPTY_MESSAGE, OK_TRAILERS]), () => {
      response.destroy();
    }),
  );
  expect(status.code).toBe(0);
  expect(messages).toHaveLength(1);
});

test("a status in the head alone is the status, details and all", async () => {
  const { status } = await endingOf((response) =>
    response
      .writeHead(200, { ...GRPC_WEB, "grpc-status": "9", "grpc-message": "a%20b", "grpc-status-details-bin": "CAk=" })
      .end(),
  );
  expect(status).toMatchObject({ code: Code.FailedPrecondition, details: "a b" });
  expect(status.metadata.get("grpc-status-details-bin")).toEqual([Buffer.from("CAk=", "base64")]);
});

test("a status in the head gives way to that of the trailers", async () => {
  const head = { ...GRPC_WEB, "grpc-status": "8", "x-kept": "yes" };
  const { messages, status, headers } = await endingOf((response) =>
    response.writeHead(200, head).end(Buffer.concat([EMPTY_MESSAGE, trailerFrame("grpc-status: 9\r\n")])),
  );
  expect(messages).toHaveLength(1);
  expect(status.code).toBe(Code.FailedPrecondition);
  expect(headers?.getMap()).toMatchObject({ "x-kept": "yes" });
  expect(headers?.get("grpc-status")).toEqual([]);
});

describe("trailers that are compressed, as a server does that answers a compressed request in kind", () => {
  const trailers = Buffer.from("grpc-status: 9\r\n");

  test.each([
    ["br", brotliCompressSync(trailers)],
    ["deflate", deflateSync(trailers)],
    ["gzip", gzipSync(trailers)],
    ["zstd", zstdCompressSync(trailers)],
  ])("%s", async (encoding, bytes) => {
    const { status } = await endingOf((response) =>
      response.writeHead(200, { ...GRPC_WEB, "grpc-encoding": encoding }).end(encodeFrame(bytes, 0x81)),
    );
    expect(status.code).toBe(Code.FailedPrecondition);
  });

  test.each([
    ["in a way of their own", "own", trailers, /grpc-encoding is own/],
    ["otherwise than is said", "gzip", trailers, /can't be decompressed \(gzip\)/],
    ["and are a bomb", "gzip", gzipSync(Buffer.alloc(300_000)), /can't be decompressed \(gzip\)/],
  ])("%s is INTERNAL", async (_how, encoding, bytes, message) => {
    const { status } = await endingOf((response) =>
      response.writeHead(200, { ...GRPC_WEB, "grpc-encoding": encoding }).end(encodeFrame(bytes, 0x81)),
    );
    expect(status.code).toBe(Code.Internal);
    expect(status.details).toMatch(message);
  });
});

test.each([
  [401, Code.Unauthenticated, /token/],
  [403, Code.PermissionDenied, /doesn't allow/],
  [404, Code.Unimplemented, /not that of a Remex Worker/],
  [429, Code.Unavailable, /try again/],
  [502, Code.Unavailable, /try again/],
  [503, Code.Unavailable, /try again/],
  [504, Code.Unavailable, /try again/],
  [500, Code.Unknown, /log/],
  [302, Code.Unknown, /URL/],
])("HTTP %d without a gRPC status", async (httpStatus, code, remedy) => {
  const { status } = await endingOf((response) => response.writeHead(httpStatus).end("<html>"));
  expect(status.code).toBe(code);
  expect(status.details).toMatch(remedy);
  expect(status.details).toContain(`HTTP ${httpStatus}`);
});

test("an answer that is no gRPC-Web is UNKNOWN and says what it is", async () => {
  const { status } = await endingOf((response) =>
    response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
  );
  expect(status.code).toBe(Code.Unknown);
  expect(status.details).toContain("text/html");
});

test.each([
  ["unknown flags", Uint8Array.of(0x40, 0, 0, 0, 0)],
  ["compressed trailers", Uint8Array.of(0x81, 0, 0, 0, 0)],
  ["trailers that are none", trailerFrame("what is this")],
  ["a frame after the trailers", Buffer.concat([OK_TRAILERS, EMPTY_MESSAGE])],
  ["trailers of 4 GB", Uint8Array.of(0x80, 255, 255, 255, 255)],
])("a response with %s is INTERNAL", async (_what, bytes) => {
  const { status } = await endingOf((response) => response.writeHead(200, GRPC_WEB).end(bytes));
  expect(status.code).toBe(Code.Internal);
  expect(status.details).toMatch(/malformed/);
});

test("a response that is no HTTP is UNAVAILABLE", async () => {
  const { status } = await endingOf((response) => response.socket?.end("SSH-2.0-OpenSSH\r\n"));
  expect(status.code).toBe(Code.Unavailable);
});
