import { once } from "node:events";
import http2, { type Http2SecureServer, type ServerHttp2Session } from "node:http2";
import https from "node:https";
import type { Socket } from "node:net";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { StatusObject } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import type { BridgeLimits } from "../../bridge/limits.ts";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { Health, HealthCheckResponse_ServingStatus } from "../../protos/gen/grpc/health/v1/health_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { CertificateAuthority, OPENSSL } from "./certificates.ts";
import { FrozenProxy } from "./frozen-proxy.ts";
import { NativeClient } from "./native-client.ts";
import { connect, endingOf, open } from "./raw-client.ts";
import { expectStreams, streamRoutes } from "./streams.ts";

const { queryWriteStatus, read, write } = ByteStream.method;

interface Endpoint {
  readonly url: URL;
  readonly port: number;
  readonly sessions: Set<ServerHttp2Session>;
  /** How many connections there have been, without those that only asked for the protocol. */
  readonly connections: () => number;
  readonly close: () => Promise<void>;
}

describe.skipIf(!OPENSSL)("an endpoint over TLS (needs openssl)", () => {
  const authority = OPENSSL ? new CertificateAuthority() : undefined;
  const identity = authority?.issue("endpoint");

  /** @param versions what it offers by ALPN */
  async function startEndpoint(
    routes: (router: ConnectRouter) => void,
    {
      versions = ["h2", "http/1.1"],
      port = 0,
      settings = {},
    }: { versions?: string[]; port?: number; settings?: http2.Settings } = {},
  ): Promise<Endpoint> {
    const serve = connectNodeAdapter({
      routes,
      fallback: (_request, response) => {
        response.end();
      },
    });
    const server: Http2SecureServer | https.Server = versions.includes("h2")
      ? http2.createSecureServer({ ...identity, allowHTTP1: versions.length > 1, settings }, serve)
      : https.createServer({ ...identity }, serve);
    const sessions = new Set<ServerHttp2Session>();
    const sockets = new Set<Socket>();
    let connections = 0;
    server.on("session", (session: ServerHttp2Session) => {
      sessions.add(session);
      session.on("error", () => undefined);
      session.once("stream", () => connections++);
    });
    server.on("connection", (socket: Socket) => sockets.add(socket));
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    const close = async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    };
    onTestFinished(close);
    const address = server.address();
    const listening = typeof address === "object" && address !== null ? address.port : 0;
    return {
      url: new URL(`https://localhost:${listening}`),
      port: listening,
      sessions,
      connections: () => connections,
      close,
    };
  }

  async function bridgeTo(url: URL, limits: Partial<BridgeLimits> = {}) {
    const bridge = await startTestBridge(url, limits, { endpointCa: authority?.cert });
    return new NativeClient(bridge.port);
  }

  const echo = (router: ConnectRouter) =>
    router.rpc(queryWriteStatus, ({ resourceName }) => ({ committedSize: BigInt(resourceName) }));

  test("that speaks HTTP/2 is spoken to so, with many calls on few connections", async () => {
    const everyCall = Promise.withResolvers<undefined>();
    let calls = 0;
    const endpoint = await startEndpoint((router) =>
      router.rpc(queryWriteStatus, async ({ resourceName }) => {
        if (++calls === 250) everyCall.resolve(undefined);
        await everyCall.promise;
        return { committedSize: BigInt(resourceName) };
      }),
    );
    const client = await bridgeTo(endpoint.url);
    const endings = await Promise.all(
      Array.from({ length: 250 }, (_, index) => client.unary(queryWriteStatus, { resourceName: String(index) })),
    );
    expect(endings.map(({ messages }) => Number(messages[0]?.committedSize))).toEqual(endings.map((_, index) => index));
    expect(endpoint.connections()).toBe(3);
  });

  test("that allows fewer calls on a connection gets no more", async () => {
    const held = Promise.withResolvers<undefined>();
    let calls = 0;
    const endpoint = await startEndpoint(
      (router) =>
        router.rpc(queryWriteStatus, async () => {
          if (++calls === 5) held.resolve(undefined);
          await held.promise;
          return {};
        }),
      { settings: { maxConcurrentStreams: 2 } },
    );
    const client = await bridgeTo(endpoint.url);
    const first = client.unary(queryWriteStatus, {});
    await expect.poll(() => calls).toBe(1);
    const others = Array.from({ length: 4 }, () => client.unary(queryWriteStatus, {}));
    for (const { status } of await Promise.all([first, ...others])) expect(status.code).toBe(0);
    expect(endpoint.connections()).toBe(3);
  });

  test("is told the end of a request that came before it was known what it speaks", async () => {
    const endpoint = await startEndpoint(echo);
    const bridge = await startTestBridge(endpoint.url, {}, { endpointCa: authority?.cert });
    const path = "/google.bytestream.ByteStream/QueryWriteStatus";
    const { trailers } = await endingOf(open(connect(bridge.port), { ":path": path }).end());
    expect(trailers["grpc-status"]).toBe(String(Code.Unimplemented));
  });

  test("that speaks HTTP/1.1 alone is spoken to so", async () => {
    const endpoint = await startEndpoint(echo, { versions: ["http/1.1"] });
    const client = await bridgeTo(endpoint.url);
    const { messages } = await client.unary(queryWriteStatus, { resourceName: "7" });
    expect(messages).toMatchObject([{ committedSize: 7n }]);
  });

  test("that comes to speak another version is spoken to in that", async () => {
    const first = await startEndpoint(echo);
    const client = await bridgeTo(first.url);
    expect((await client.unary(queryWriteStatus, { resourceName: "1" })).status.code).toBe(0);
    await first.close();
    expect((await client.unary(queryWriteStatus, { resourceName: "1" })).status.code).toBe(Code.Unavailable);
    await startEndpoint(echo, { versions: ["http/1.1"], port: first.port });
    await expect
      .poll(async () => (await client.unary(queryWriteStatus, { resourceName: "2" })).messages)
      .toMatchObject([{ committedSize: 2n }]);
  });

  test("that isn't trusted is UNAVAILABLE, and the message says why", async () => {
    const endpoint = await startEndpoint(echo);
    const client = new NativeClient((await startTestBridge(endpoint.url)).port);
    const { status } = await client.unary(queryWriteStatus, {});
    expect(status.code).toBe(Code.Unavailable);
    expect(status.details).toMatch(/certificate/);
  });

  describe("by HTTP/2", () => {
    test("streams go in both directions", async () => {
      const endpoint = await startEndpoint(streamRoutes);
      await expectStreams(await bridgeTo(endpoint.url));
    });

    test("a response that is cut off is UNAVAILABLE", async () => {
      let sessions: Set<ServerHttp2Session> = new Set();
      const endpoint = await startEndpoint((router) =>
        router.rpc(read, async function* () {
          yield { data: Uint8Array.of(1) };
          await new Promise(setImmediate);
          for (const session of sessions) session.destroy();
        }),
      );
      sessions = endpoint.sessions;
      const { status } = await (await bridgeTo(endpoint.url)).readAll(read, {});
      expect(status.code).toBe(Code.Unavailable);
      expect(status.details).toMatch(/ended its response without a status/);
    });

    test("a client that gives up ends its call at the endpoint, and no other", async () => {
      const cancelled = Promise.withResolvers<undefined>();
      const endpoint = await startEndpoint((router) => {
        echo(router);
        router.rpc(read, async function* (_request, { signal }) {
          signal.addEventListener("abort", () => {
            cancelled.resolve(undefined);
          });
          yield { data: Uint8Array.of(1) };
          await cancelled.promise;
        });
      });
      const client = await bridgeTo(endpoint.url);
      const call = client.serverStream(read, {});
      call.once("data", () => {
        call.cancel();
      });
      await cancelled.promise;
      expect((await client.unary(queryWriteStatus, { resourceName: "1" })).status.code).toBe(0);
      expect(endpoint.connections()).toBe(1);
    });

    test("a connection that the endpoint retires carries its calls to their end, and no new ones", async () => {
      const held = Promise.withResolvers<undefined>();
      const endpoint = await startEndpoint((router) => {
        echo(router);
        router.rpc(write, async () => {
          await held.promise;
          return { committedSize: 5n };
        });
      });
      const client = await bridgeTo(endpoint.url);
      const { call, ending } = client.clientStream(write);
      call.write({ data: Uint8Array.of(1) });
      await expect.poll(() => endpoint.connections()).toBe(1);
      for (const session of endpoint.sessions) session.goaway();
      await expect
        .poll(async () => {
          await client.unary(queryWriteStatus, { resourceName: "1" });
          return endpoint.connections();
        })
        .toBe(2);
      held.resolve(undefined);
      expect((await ending).messages).toMatchObject([{ committedSize: 5n }]);
      call.end();
    });

    test("an endpoint that is gone without a word is noticed", async () => {
      const endpoint = await startEndpoint((router) =>
        router.rpc(read, async function* (_request, { signal }) {
          yield { data: Uint8Array.of(1) };
          await once(signal, "abort");
        }),
      );
      const way = new FrozenProxy();
      const url = new URL(`https://localhost:${await way.start(endpoint.port)}`);
      const client = await bridgeTo(url, { pingMs: 5, pingTimeoutMs: 100 });
      const call = client.serverStream(read, {});
      call.once("data", () => {
        way.freeze();
      });
      const status = await new Promise<StatusObject>((resolve) => call.once("status", resolve));
      expect(status.code).toBe(Code.Unavailable);
      expect(status.details).toMatch(/no answer to a ping within 100 ms/);
    });

    test("an unused connection is closed", async () => {
      const endpoint = await startEndpoint(echo);
      const client = await bridgeTo(endpoint.url, { upstreamHttp2IdleMs: 5 });
      await client.unary(queryWriteStatus, { resourceName: "1" });
      await expect.poll(() => [...endpoint.sessions].every(({ destroyed }) => destroyed)).toBe(true);
      expect((await client.unary(queryWriteStatus, { resourceName: "1" })).status.code).toBe(0);
    });

    test("its health is asked for", async () => {
      const endpoint = await startEndpoint(echo);
      const { messages } = await (await bridgeTo(endpoint.url)).unary(Health.method.check, {});
      expect(messages).toMatchObject([{ status: HealthCheckResponse_ServingStatus.SERVING }]);
    });
  });
});
