import { once } from "node:events";
import tls from "node:tls";
import { Code } from "@connectrpc/connect";
import { credentials } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ClientTls } from "../../bridge/client-tls.ts";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { CertificateAuthority, OPENSSL } from "./certificates.ts";
import { startEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";

const { queryWriteStatus } = ByteStream.method;

describe.skipIf(!OPENSSL)("a bridge with TLS (needs openssl)", () => {
  const authority = OPENSSL ? new CertificateAuthority() : undefined;
  const issue = (name: string) => authority?.issue(name) ?? { cert: "", key: "" };
  const ca = authority?.cert ?? "";
  const identity = issue("bridge");

  async function start(read: () => ClientTls) {
    const endpoint = await startEndpoint((router) => router.rpc(queryWriteStatus, () => ({ committedSize: 1n })));
    return startTestBridge(endpoint, { tlsRenewalMs: 5 }, { tls: read });
  }

  function client(port: number, own?: { cert: string; key: string }, roots = ca): NativeClient {
    const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text));
    return new NativeClient(`localhost:${port}`, credentials.createSsl(pem(roots), pem(own?.key), pem(own?.cert)));
  }

  const codeOf = async (caller: NativeClient) => (await caller.unary(queryWriteStatus, {})).status.code;

  test("serves clients that trust it", async () => {
    const { port } = await start(() => identity);
    expect(await codeOf(client(port))).toBe(0);
  });

  test("serves none without TLS, and none that speaks another protocol", async () => {
    const { port } = await start(() => identity);
    expect(await codeOf(new NativeClient(port))).toBe(Code.Unavailable);
    const socket = tls.connect({ host: "localhost", port, ca, ALPNProtocols: ["http/1.1"] });
    socket.on("error", () => undefined).resume();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(await codeOf(client(port))).toBe(0);
  });

  test("that asks for clients' certificates serves those that have one of its authority's, and no others", async () => {
    const { port } = await start(() => ({ ...identity, clientCa: ca }));
    expect(await codeOf(client(port, issue("client")))).toBe(0);
    expect(await codeOf(client(port))).toBe(Code.Unavailable);
    expect(await codeOf(client(port, new CertificateAuthority().issue("client")))).toBe(Code.Unavailable);
  });

  test("takes a renewed certificate into use, and keeps the old one while there is none", async () => {
    let current = () => identity;
    const { port } = await start(() => current());
    const subject = async () => {
      const socket = tls.connect({ host: "localhost", port, ca, ALPNProtocols: ["h2"] });
      onTestFinished(() => {
        socket.destroy();
      });
      await once(socket, "secureConnect");
      return socket.getPeerCertificate().subject.CN;
    };
    expect(await subject()).toBe("bridge");
    const reads = Promise.withResolvers<undefined>();
    current = () => {
      reads.resolve(undefined);
      throw new Error("half written");
    };
    await reads.promise;
    expect(await subject()).toBe("bridge");
    const renewed = issue("renewed");
    current = () => renewed;
    await expect.poll(subject).toBe("renewed");
  });

  test("doesn't start with what is no certificate", async () => {
    await expect(start(() => ({ cert: "x", key: "y" }))).rejects.toThrow();
  });
});
