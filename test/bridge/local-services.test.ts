import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { pathOf } from "../../bridge/method-path.ts";
import { Health } from "../../protos/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../protos/gen/grpc/reflection/v1/reflection_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { startRawEndpoint } from "./endpoints.ts";
import { connect, endingOf, open } from "./raw-client.ts";

const CHECK = pathOf(Health.method.check);
const REFLECTION = pathOf(ServerReflection.method.serverReflectionInfo);

/** More than HTTP/2 lets a client send of a stream before the other side has read any of it. */
const LONG_BYTES = 1_000_000;

const healthy = () => startRawEndpoint((_request, response) => response.writeHead(200).end());

describe.each([CHECK, REFLECTION])("%s", (path) => {
  test.each([
    ["a message that is too large", encodeFrame(new Uint8Array(LONG_BYTES)), Code.ResourceExhausted],
    ["much after a message that can't be parsed", tail(encodeFrame(Uint8Array.of(0xff))), Code.InvalidArgument],
  ])("%s: the call ends, and its stream with it", async (_what, body, code) => {
    const session = connect((await startTestBridge(await healthy())).port);
    const { trailers, resetCode } = await endingOf(open(session, { ":path": path }).end(body));
    expect(trailers["grpc-status"]).toBe(String(code));
    expect(resetCode).toBe(0);
  });

  test.each([
    ["no message", new Uint8Array(0)],
    ["half a message", encodeFrame(new Uint8Array(100)).subarray(0, 50)],
    ["a message", encodeFrame(new Uint8Array(0))],
  ])("a request of %s that doesn't end is UNAVAILABLE after a while", async (_what, body) => {
    const session = connect((await startTestBridge(await healthy(), { localRequestMs: 30 })).port);
    const stream = open(session, { ":path": path });
    stream.write(body);
    const { trailers } = await endingOf(stream);
    expect(trailers["grpc-status"]).toBe(String(Code.Unavailable));
    expect(decodeURIComponent(String(trailers["grpc-message"]))).toContain("had not ended after 0.03 s");
  });

  test("a message format that isn't read is UNIMPLEMENTED", async () => {
    const session = connect((await startTestBridge(await healthy())).port);
    const stream = open(session, { ":path": path, "content-type": "application/grpc+thrift" });
    const { trailers } = await endingOf(stream.end(encodeFrame(new Uint8Array(0))));
    expect(trailers["grpc-status"]).toBe(String(Code.Unimplemented));
    expect(trailers["grpc-message"]).toContain("application/grpc+thrift");
  });

  test("a deadline that passes is DEADLINE_EXCEEDED", async () => {
    const session = connect((await startTestBridge(await healthy())).port);
    const { trailers } = await endingOf(open(session, { ":path": path, "grpc-timeout": "20m" }));
    expect(trailers["grpc-status"]).toBe(String(Code.DeadlineExceeded));
  });
});

test("calls above the limit are RESOURCE_EXHAUSTED, but never because of calls to the endpoint", async () => {
  const mute = await startRawEndpoint((request, response) => {
    if (request.url === "/healthz") response.writeHead(200).end();
  });
  const session = connect((await startTestBridge(mute, { maxCalls: 1 })).port);
  open(session, { ":path": "/google.bytestream.ByteStream/Write" });
  const check = () => open(session, { ":path": CHECK });

  const first = check();
  const second = await endingOf(check().end(encodeFrame(new Uint8Array(0))));
  expect(second.trailers["grpc-status"]).toBe(String(Code.ResourceExhausted));
  expect((await endingOf(first.end(encodeFrame(new Uint8Array(0))))).trailers["grpc-status"]).toBe("0");
});

test("a call that is under way when the bridge stops is UNAVAILABLE", async () => {
  const bridge = await startTestBridge(await healthy());
  const session = connect(bridge.port);
  const ending = endingOf(open(session, { ":path": CHECK }));
  // The bridge has the call once it has answered one that came after it.
  await endingOf(open(session, { ":path": CHECK }).end(encodeFrame(new Uint8Array(0))));
  await bridge.close();
  expect((await ending).trailers["grpc-status"]).toBe(String(Code.Unavailable));
});

/** Sent on, so that the client waits for it to be read. */
function tail(frame: Uint8Array): Uint8Array {
  return Buffer.concat([frame, Buffer.alloc(LONG_BYTES)]);
}
