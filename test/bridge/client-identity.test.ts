import { credentials } from "@grpc/grpc-js";
import { jwtVerify } from "jose";
import { describe, expect, it, test } from "vitest";
import { ClientIdentities, identityClaims } from "../../bridge/client-identity.ts";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { identifyClient } from "../../src/access/client-identity.ts";
import { CLIENT_IDENTITY_HEADER } from "../../src/access/client-identity-header.ts";
import { accessSchema } from "../../src/config/schema.ts";
import { startTestBridge } from "./bridges.ts";
import { CertificateAuthority, OPENSSL } from "./certificates.ts";
import { startEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";

const { queryWriteStatus } = ByteStream.method;
const KEY = "a-key-that-both-sides-have-and-nobody-else";

describe("what is said of a certificate", () => {
  it.each([
    [{ subject: { CN: "ci" } }, { common_name: "ci", subject_alt_names: [] }],
    [{ subject: { CN: ["ci", "admin"] } }, { subject_alt_names: [] }],
    [
      { subject: {}, subjectaltname: "URI:spiffe://a/b, DNS:a.b, IP Address:1.2.3.4, email:a@b" },
      { subject_alt_names: ["URI:spiffe://a/b", "DNS:a.b", "IP Address:1.2.3.4", "email:a@b"] },
    ],
    [
      { subject: {}, subjectaltname: 'DNS:"a, URI:spiffe://admin", DNS:b' },
      { subject_alt_names: ["DNS:a, URI:spiffe://admin", "DNS:b"] },
    ],
  ])("%j", (certificate, claims) => {
    expect(identityClaims(certificate)).toEqual(claims);
  });
});

describe.skipIf(!OPENSSL)("a bridge that vouches for its clients (needs openssl)", () => {
  const authority = OPENSSL ? new CertificateAuthority() : undefined;
  const issue = (name: string) => authority?.issue(name) ?? { cert: "", key: "" };
  const ca = authority?.cert ?? "";

  /** A client with a certificate, and what the endpoint is told of it at each call. */
  async function start() {
    const seen: Headers[] = [];
    const endpoint = await startEndpoint((router) =>
      router.rpc(queryWriteStatus, (_request, { requestHeader }) => {
        seen.push(requestHeader);
        return {};
      }),
    );
    const material = { ...issue("bridge"), clientCa: ca };
    const tls = () => material;
    const options = { tls, identityKey: () => KEY, token: () => "the bridge's own" };
    const { port } = await startTestBridge(endpoint, {}, options);
    const own = issue("ci");
    const trust = credentials.createSsl(Buffer.from(ca), Buffer.from(own.key), Buffer.from(own.cert));
    return { client: new NativeClient(`localhost:${port}`, trust), seen };
  }

  test("signs for them, and the Worker knows them by it", async () => {
    const { client, seen } = await start();
    await client.unary(queryWriteStatus, {});
    const identity = seen[0]?.get(CLIENT_IDENTITY_HEADER) ?? "";
    expect(seen[0]?.get("authorization")).toBeNull();
    const certificates = [{ name: "builds", common_name: "ci", roles: { main: ["executor"] } }];
    const caller = await identifyClient(accessSchema.parse({ certificates }), KEY, identity);
    expect(caller).toMatchObject({ name: "ci", authenticated: true });
    expect(caller.grants.get("main")).toEqual(["executor"]);
  });

  test("passes on no identity that a client claims, and none beside a client's own authorization", async () => {
    const { client, seen } = await start();
    await client.unary(queryWriteStatus, {}, { metadata: { [CLIENT_IDENTITY_HEADER]: "forged" } });
    const metadata = { [CLIENT_IDENTITY_HEADER]: "forged", authorization: "Bearer its own" };
    await client.unary(queryWriteStatus, {}, { metadata });
    expect(seen[0]?.get(CLIENT_IDENTITY_HEADER)).not.toContain("forged");
    expect(seen[1]?.get(CLIENT_IDENTITY_HEADER)).toBeNull();
    expect(seen[1]?.get("authorization")).toBe("Bearer its own");
  });
});

test("a bridge that vouches for nobody passes on no identity either", async () => {
  const seen: Headers[] = [];
  const endpoint = await startEndpoint((router) =>
    router.rpc(queryWriteStatus, (_request, { requestHeader }) => {
      seen.push(requestHeader);
      return {};
    }),
  );
  const client = new NativeClient((await startTestBridge(endpoint)).port);
  await client.unary(queryWriteStatus, {}, { metadata: { [CLIENT_IDENTITY_HEADER]: "forged" } });
  expect(seen[0]?.get(CLIENT_IDENTITY_HEADER)).toBeNull();
});

test("a signature serves a client's calls for a while, and is then made anew", async () => {
  let nowMs = Date.UTC(2030, 0);
  const identities = new ClientIdentities(
    () => KEY,
    () => nowMs,
  );
  const subject = { CN: "ci", C: "", ST: "", L: "", O: "", OU: "" };
  const session = { socket: { getPeerCertificate: () => ({ subject }) } };
  const first = identities.of(session);
  nowMs += 59_000;
  expect(identities.of(session)).toBe(first);
  nowMs += 2000;
  const second = identities.of(session);
  expect(second).not.toBe(first);
  const { payload } = await jwtVerify(second ?? "", new TextEncoder().encode(KEY), { currentDate: new Date(nowMs) });
  expect(payload).toMatchObject({ common_name: "ci", exp: nowMs / 1000 + 120 });
});

test("a client without a certificate has no identity", () => {
  const identities = new ClientIdentities(() => KEY);
  expect(identities.of({ socket: { getPeerCertificate: () => ({}) } })).toBeUndefined();
  expect(identities.of({ socket: {} })).toBeUndefined();
});
