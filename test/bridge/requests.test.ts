import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { startTestBridge } from "./bridges.ts";
import { GRPC_WEB, OK_TRAILERS, startRawEndpoint } from "./endpoints.ts";
import { connect, endingOf, open } from "./raw-client.ts";

const PATH = "/google.bytestream.ByteStream/Write";
const MESSAGE = encodeFrame(Buffer.from("message"));

/** An endpoint that answers once the whole request has come. */
const answering = () =>
  startRawEndpoint((request, response) => {
    request.resume().once("end", () => {
      response.writeHead(200, GRPC_WEB).end(Buffer.concat([encodeFrame(new Uint8Array()), OK_TRAILERS]));
    });
  });

/** An endpoint that never answers. */
const mute = () => startRawEndpoint((request) => request.resume());

describe("a malformed request gets a status", () => {
  test.each([
    ["unknown flags", Uint8Array.of(0x22, 0, 0, 0, 0), "INVALID_ARGUMENT", /flags 0x22/],
    ["a trailer frame", Uint8Array.of(0x80, 0, 0, 0, 0), "INVALID_ARGUMENT", /trailer frame/],
    ["half a message", MESSAGE.subarray(0, 8), "INVALID_ARGUMENT", /ends within a message/],
    ["half a prefix", MESSAGE.subarray(0, 2), "INVALID_ARGUMENT", /ends within a message/],
  ])("%s", async (_what, body, _code, message) => {
    const session = connect((await startTestBridge(await mute())).port);
    const { trailers } = await endingOf(open(session, { ":path": PATH }).end(body));
    expect(trailers["grpc-status"]).toBe(String(Code.InvalidArgument));
    expect(decodeURIComponent(String(trailers["grpc-message"]))).toMatch(message);
  });

  test.each(["12", "1s", "123456789S", "now"])("grpc-timeout %j", async (timeout) => {
    const session = connect((await startTestBridge(await mute())).port);
    const { trailers } = await endingOf(open(session, { ":path": PATH, "grpc-timeout": timeout }));
    expect(trailers["grpc-status"]).toBe(String(Code.InvalidArgument));
    expect(trailers["grpc-message"]).toContain("grpc-timeout");
  });

  test.each(["/", "/a", "/a/b/c", "/../healthz", "/a.B/C?d=e", "/a.B/%2e%2e"])("path %j", async (path) => {
    const session = connect((await startTestBridge(await mute())).port);
    const { trailers } = await endingOf(open(session, { ":path": path }));
    expect(trailers["grpc-status"]).toBe(String(Code.Unimplemented));
  });

  test("of its own message format", async () => {
    const session = connect((await startTestBridge(await mute())).port);
    const json = { ":path": "/", "content-type": "application/grpc+json" };
    expect((await endingOf(open(session, json))).headers["content-type"]).toBe("application/grpc+json");
  });

  test("after any of them the connection still carries calls", async () => {
    const session = connect((await startTestBridge(await answering())).port);
    await endingOf(open(session, { ":path": PATH }).end(Uint8Array.of(0x22, 0, 0, 0, 0)));
    await endingOf(open(session, { ":path": "/" }));
    const { trailers, body } = await endingOf(open(session, { ":path": PATH }).end(MESSAGE));
    expect(trailers["grpc-status"]).toBe("0");
    expect(body).toHaveLength(5);
  });
});

test.each([
  [{ ":method": "GET" }],
  [{ ":method": "POST", "content-type": "application/json" }],
  [{ ":method": "POST", "content-type": "application/grpc-web" }],
])("what is no gRPC gets a 415 that a person can read: %j", async (headers) => {
  const session = connect((await startTestBridge(await mute())).port);
  const ending = await endingOf(session.request({ ":path": "/", ...headers }).end());
  expect(ending.headers[":status"]).toBe(415);
  expect(ending.body.toString()).toContain("gRPC port of a Remex bridge");
});

describe("a deadline", () => {
  test("is kept by the bridge, whatever the endpoint does, and the endpoint's request ends", async () => {
    const aborted = Promise.withResolvers<undefined>();
    const endpoint = await startRawEndpoint((request) => {
      request.once("close", () => {
        aborted.resolve(undefined);
      });
    });
    const session = connect((await startTestBridge(endpoint)).port);
    const { trailers } = await endingOf(open(session, { ":path": PATH, "grpc-timeout": "30m" }).end(MESSAGE));
    expect(trailers["grpc-status"]).toBe(String(Code.DeadlineExceeded));
    expect(trailers["grpc-message"]).toContain("30 ms");
    await aborted.promise;
  });

  test("that passes in mid-response ends it with DEADLINE_EXCEEDED", async () => {
    const endpoint = await startRawEndpoint((_request, response) => {
      response.writeHead(200, GRPC_WEB).write(MESSAGE);
    });
    const session = connect((await startTestBridge(endpoint)).port);
    const { trailers, body } = await endingOf(open(session, { ":path": PATH, "grpc-timeout": "200m" }).end(MESSAGE));
    expect(trailers["grpc-status"]).toBe(String(Code.DeadlineExceeded));
    expect(body).toHaveLength(MESSAGE.length);
  });

  test("of no time at all has passed", async () => {
    const session = connect((await startTestBridge(await mute())).port);
    const { trailers } = await endingOf(open(session, { ":path": PATH, "grpc-timeout": "0S" }));
    expect(trailers["grpc-status"]).toBe(String(Code.DeadlineExceeded));
  });

  test.each([PATH, "/grpc.health.v1.Health/List"])("beyond any timer's reach is none (%s)", async (path) => {
    const session = connect((await startTestBridge(await answering())).port);
    const empty = Buffer.alloc(5);
    const { trailers } = await endingOf(open(session, { ":path": path, "grpc-timeout": "99999999H" }).end(empty));
    expect(trailers["grpc-status"]).toBe("0");
  });
});

test("calls above the limit are RESOURCE_EXHAUSTED, and their places are free again when others end", async () => {
  const session = connect((await startTestBridge(await answering(), { maxCalls: 2 })).port);
  const open1 = open(session, { ":path": PATH });
  const open2 = open(session, { ":path": PATH });
  const { trailers } = await endingOf(open(session, { ":path": PATH }));
  expect(trailers["grpc-status"]).toBe(String(Code.ResourceExhausted));
  expect(trailers["grpc-message"]).toContain("2 calls");
  for (const stream of [open1, open2]) {
    expect((await endingOf(stream.end(MESSAGE))).trailers["grpc-status"]).toBe("0");
  }
  expect((await endingOf(open(session, { ":path": PATH }).end(MESSAGE))).trailers["grpc-status"]).toBe("0");
});
