import { once } from "node:events";
import http2 from "node:http2";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { Health, HealthCheckResponse_ServingStatus } from "../../protos/gen/grpc/health/v1/health_pb.ts";
import { ConnectProxy, PROXIED_HOST, proxied, useProxy } from "../endpoint/connect-proxy.ts";
import { SocksProxy } from "../endpoint/socks-proxy.ts";
import { startTestBridge } from "./bridges.ts";
import { CertificateAuthority, OPENSSL } from "./certificates.ts";
import { startEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";
import { expectStreams, streamRoutes } from "./streams.ts";

const { queryWriteStatus } = ByteStream.method;

/** Has streams, and echoes the numbers that are resource names. */
function routes(router: ConnectRouter): void {
  router.rpc(queryWriteStatus, ({ resourceName }) => ({ committedSize: BigInt(resourceName) }));
  streamRoutes(router);
}

async function startProxy(): Promise<ConnectProxy> {
  const proxy = await ConnectProxy.start();
  useProxy(proxy.url);
  return proxy;
}

async function startSocksProxy(): Promise<SocksProxy> {
  const proxy = await SocksProxy.start();
  useProxy(proxy.url);
  return proxy;
}

const KINDS = [
  ["HTTP", startProxy],
  ["SOCKS", startSocksProxy],
] as const;

test.each(KINDS)("an endpoint in clear text is reached through a proxy that speaks %s", async (_kind, start) => {
  const proxy = await start();
  const endpoint = proxied(await startEndpoint(routes));
  await expectStreams(new NativeClient((await startTestBridge(endpoint)).port));
  expect(new Set(proxy.asked)).toEqual(new Set([`${PROXIED_HOST}:${endpoint.port}`]));
});

test("a proxy that refuses is UNAVAILABLE, in words", async () => {
  const proxy = await startProxy();
  proxy.refuseWith = 403;
  const bridge = await startTestBridge(proxied(await startEndpoint(routes)));
  const { status } = await new NativeClient(bridge.port).unary(queryWriteStatus, { resourceName: "1" });
  expect(status.code).toBe(Code.Unavailable);
  expect(status.details).toMatch(
    /the proxy http:\S+ \(http_proxy\) refuses CONNECT to endpoint\.test:\d+ \(HTTP 403 No\)/,
  );
});

describe.skipIf(!OPENSSL)("an endpoint over TLS (needs openssl)", () => {
  const authority = OPENSSL ? new CertificateAuthority() : undefined;
  const identity = authority?.issue("endpoint");

  async function startSecure(version: "h2" | "http/1.1"): Promise<{ url: URL; connections: () => number }> {
    const serve = connectNodeAdapter({
      routes,
      fallback: (_request, response) => {
        response.end();
      },
    });
    const server =
      version === "h2" ? http2.createSecureServer({ ...identity }, serve) : https.createServer({ ...identity }, serve);
    const used = new Set<unknown>();
    server.on("session", (session: http2.ServerHttp2Session) => {
      session.on("error", () => undefined);
      session.once("stream", () => used.add(session));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.close();
    });
    const address: AddressInfo | string | null = server.address();
    if (address === null || typeof address === "string") throw new Error("not listening on a port");
    return { url: new URL(`https://${PROXIED_HOST}:${address.port}`), connections: () => used.size };
  }

  async function bridgeTo(url: URL): Promise<NativeClient> {
    return new NativeClient((await startTestBridge(url, {}, { endpointCa: authority?.cert })).port);
  }

  test.each(
    (["h2", "http/1.1"] as const).flatMap((version) => KINDS.map(([kind, start]) => [version, kind, start] as const)),
  )("is spoken to by %s through a proxy that speaks %s", async (version, _kind, start) => {
    const proxy = await start();
    const endpoint = await startSecure(version);
    const client = await bridgeTo(endpoint.url);
    await expectStreams(client);
    const { messages } = await client.unary(Health.method.check, {});
    expect(messages).toMatchObject([{ status: HealthCheckResponse_ServingStatus.SERVING }]);
    expect(new Set(proxy.asked)).toEqual(new Set([endpoint.url.host]));
  });

  test("has many calls on few connections by HTTP/2, and new ones after the tunnels were cut", async () => {
    const proxy = await startProxy();
    const endpoint = await startSecure("h2");
    const client = await bridgeTo(endpoint.url);
    const call250 = async () => {
      const answers = await Promise.all(
        Array.from({ length: 250 }, (_, index) => client.unary(queryWriteStatus, { resourceName: String(index) })),
      );
      expect(answers.map(({ messages }) => Number(messages[0]?.committedSize))).toEqual(
        answers.map((_, index) => index),
      );
    };
    await call250();
    expect(endpoint.connections()).toBeLessThanOrEqual(3);
    proxy.cut();
    await expect.poll(async () => (await client.unary(queryWriteStatus, { resourceName: "1" })).status.code).toBe(0);
    await call250();
  });

  test("is UNAVAILABLE while the proxy is away, and there again with it", async () => {
    const proxy = await startProxy();
    const client = await bridgeTo((await startSecure("h2")).url);
    const call = () => client.unary(queryWriteStatus, { resourceName: "1" });
    expect((await call()).status.code).toBe(0);
    proxy.refuseWith = 503;
    proxy.cut();
    // Both are seen: the calls whose connection was cut, and those for which there is none.
    await expect
      .poll(async () => (await call()).status.details)
      .toMatch(/the proxy http:\S+ \(https_proxy\) can't connect/);
    proxy.refuseWith = undefined;
    await expect.poll(async () => (await call()).status.code).toBe(0);
  });
});
