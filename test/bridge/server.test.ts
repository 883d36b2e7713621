import { once } from "node:events";
import net from "node:net";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { startBridge } from "../../bridge/server.ts";
import { SILENT, startTestBridge } from "./bridges.ts";
import { GRPC_WEB, OK_TRAILERS, startRawEndpoint } from "./endpoints.ts";
import { FrozenProxy } from "./frozen-proxy.ts";
import { connect, endingOf, open } from "./raw-client.ts";

const PATH = "/google.bytestream.ByteStream/Read";
const NOWHERE = new URL("http://127.0.0.1:1");

describe("starting", () => {
  test("on a port in use fails with a message that names it", async () => {
    const { port } = await startTestBridge(NOWHERE);
    await expect(
      startBridge({ listen: { host: "127.0.0.1", port }, endpoint: NOWHERE, logger: SILENT }),
    ).rejects.toThrow(`the bridge can't listen on 127.0.0.1:${port}: the port is in use`);
  });

  test("with an endpoint that is no HTTP URL fails", async () => {
    await expect(
      startBridge({ listen: { host: "127.0.0.1", port: 0 }, endpoint: new URL("grpc://x:1"), logger: SILENT }),
    ).rejects.toThrow("grpc://x:1 is no http: or https: URL");
  });
});

describe("closing", () => {
  test("lets a call end that is in flight, and refuses new ones", async () => {
    const answer = Promise.withResolvers<undefined>();
    const called = Promise.withResolvers<undefined>();
    const endpoint = await startRawEndpoint((_request, response) => {
      called.resolve(undefined);
      void answer.promise.then(() => response.writeHead(200, GRPC_WEB).end(OK_TRAILERS));
    });
    const bridge = await startTestBridge(endpoint, { shutdownGraceMs: 60_000 });
    const session = connect(bridge.port);
    const ending = endingOf(open(session, { ":path": PATH }).end(encodeFrame(new Uint8Array())));
    await called.promise;
    const goaway = once(session, "goaway");
    const closed = bridge.close();
    await goaway;
    await expect(once(net.connect(bridge.port, "127.0.0.1"), "connect")).rejects.toThrow("ECONNREFUSED");
    answer.resolve(undefined);
    expect((await ending).trailers["grpc-status"]).toBe("0");
    await closed;
  });

  test("ends what has not ended by itself in time", async () => {
    const aborted = Promise.withResolvers<undefined>();
    const called = Promise.withResolvers<undefined>();
    const endpoint = await startRawEndpoint((request) => {
      called.resolve(undefined);
      request.once("close", () => {
        aborted.resolve(undefined);
      });
    });
    const bridge = await startTestBridge(endpoint, { shutdownGraceMs: 20 });
    const ending = endingOf(open(connect(bridge.port), { ":path": PATH }).end(encodeFrame(new Uint8Array())));
    await called.promise;
    await bridge.close();
    await aborted.promise;
    expect((await ending).trailers).toMatchObject({
      "grpc-status": String(Code.Unavailable),
      "grpc-message": "the bridge is stopped; try again",
    });
  });

  test("frees the port, whatever idle clients do", async () => {
    const bridge = await startTestBridge(NOWHERE);
    const socket = net.connect(bridge.port, "127.0.0.1");
    await once(socket, "connect");
    const session = connect(bridge.port);
    await once(session, "remoteSettings");
    await bridge.close();
    const again = await startBridge({
      listen: { host: "127.0.0.1", port: bridge.port },
      endpoint: NOWHERE,
      logger: SILENT,
    });
    await again.close();
    socket.destroy();
  });
});

describe("a hostile or broken client", () => {
  test.each([
    ["HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["nonsense", "\0".repeat(1000)],
    ["a bad frame", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"],
  ])("that speaks %s is cut off, and others are served", async (_what, bytes) => {
    const { port } = await startTestBridge(NOWHERE);
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => undefined).resume();
    socket.write(Buffer.from(bytes, "latin1"));
    await once(socket, "close");
    const { trailers } = await endingOf(open(connect(port), { ":path": PATH }).end());
    expect(trailers["grpc-status"]).toBe(String(Code.Unavailable));
  });

  test.each(["[", "a b", ""])(
    "that calls the bridge's own services at %j is answered or cut off",
    async (authority) => {
      const { port } = await startTestBridge(NOWHERE);
      const session = connect(port);
      const call = { ":path": "/grpc.health.v1.Health/Check" };
      await endingOf(open(session, { ...call, ":authority": authority }).end(encodeFrame(new Uint8Array())));
      const { trailers } = await endingOf(open(connect(port), call).end(encodeFrame(new Uint8Array())));
      expect(trailers["grpc-status"]).toBe("0");
    },
  );

  test("connections above the limit are closed", async () => {
    const { port } = await startTestBridge(NOWHERE, { maxConnections: 1 });
    await once(connect(port), "remoteSettings");
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => undefined).resume();
    await once(socket, "close");
  });
});

test("a client that is gone without a word is noticed, and its call ends", async () => {
  const called = Promise.withResolvers<undefined>();
  const ended = Promise.withResolvers<undefined>();
  const endpoint = await startRawEndpoint((request) => {
    called.resolve(undefined);
    request.once("close", () => {
      ended.resolve(undefined);
    });
  });
  const { port } = await startTestBridge(endpoint, { pingMs: 5, pingTimeoutMs: 100 });
  const way = new FrozenProxy();
  open(connect(await way.start(port)), { ":path": PATH }).end(encodeFrame(new Uint8Array()));
  await called.promise;
  way.freeze();
  await ended.promise;
});
