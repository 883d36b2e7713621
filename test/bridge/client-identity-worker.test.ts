import { Code } from "@connectrpc/connect";
import { credentials } from "@grpc/grpc-js";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ContentAddressableStorage } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { CLIENT_IDENTITY_HEADER } from "../../src/access/client-identity-header.ts";
import { startWorker, type TestWorker } from "../worker.ts";
import { startTestBridge } from "./bridges.ts";
import { CertificateAuthority, OPENSSL } from "./certificates.ts";
import { NativeClient } from "./native-client.ts";

const { findMissingBlobs, batchUpdateBlobs } = ContentAddressableStorage.method;
const KEY = "k".repeat(40);

const CONFIG = JSON.stringify({
  stores: { S: {} },
  schedulers: { M: {} },
  services: { execution: [{ instance_name: "main", scheduler: "M", cas_store: "S" }] },
  access: {
    certificates: [
      { name: "writers", common_name: "writer", roles: { main: ["cache-writer"] } },
      { name: "readers", common_name: "reader", roles: { main: ["cache-reader"] } },
    ],
  },
});

let worker: TestWorker;

beforeAll(async () => {
  worker = await startWorker({ config: CONFIG, bindings: { REMEX_ANONYMOUS_ROLES: undefined, REMEX_BRIDGE_KEY: KEY } });
});

afterAll(() => worker.dispose());

describe.skipIf(!OPENSSL)("by their certificates, through bridge and Worker (needs openssl)", () => {
  const authority = OPENSSL ? new CertificateAuthority() : undefined;
  const issue = (name: string) => authority?.issue(name) ?? { cert: "", key: "" };

  async function codesOf(name: string, identityKey = KEY): Promise<[number, number]> {
    const ca = authority?.cert ?? "";
    const material = { ...issue("bridge"), clientCa: ca };
    const options = { tls: () => material, identityKey: () => identityKey };
    const { port } = await startTestBridge(new URL(worker.url), {}, options);
    const own = issue(name);
    const trust = credentials.createSsl(Buffer.from(ca), Buffer.from(own.key), Buffer.from(own.cert));
    const client = new NativeClient(`localhost:${port}`, trust);
    const read = await client.unary(findMissingBlobs, { instanceName: "main" });
    const write = await client.unary(batchUpdateBlobs, { instanceName: "main" });
    return [read.status.code, write.status.code];
  }

  test("clients have the roles that the configuration gives them", async () => {
    expect(await codesOf("writer")).toEqual([0, 0]);
    expect(await codesOf("reader")).toEqual([0, Code.PermissionDenied]);
    expect(await codesOf("stranger")).toEqual([Code.PermissionDenied, Code.PermissionDenied]);
  });

  test("a bridge with another key vouches for nobody", async () => {
    expect(await codesOf("writer", "o".repeat(40))).toEqual([Code.Unauthenticated, Code.Unauthenticated]);
  });
});

test.each([
  ["signed now", KEY, 0, 200],
  ["signed too long ago", KEY, 300, 401],
  ["forged", "f".repeat(40), 0, 401],
])("plain HTTP takes an identity too: one that is %s", async (_what, key, ageS, status) => {
  const issuedS = Math.floor(Date.now() / 1000) - ageS;
  const identity = await new SignJWT({ common_name: "reader", subject_alt_names: [] })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer("remex-bridge")
    .setAudience("remex")
    .setIssuedAt(issuedS)
    .setExpirationTime(issuedS + 120)
    .sign(new TextEncoder().encode(key));
  const response = await fetch(`${worker.url}/build.bazel.remote.execution.v2.Capabilities/GetCapabilities`, {
    method: "POST",
    headers: { "content-type": "application/json", [CLIENT_IDENTITY_HEADER]: identity, connection: "close" },
    body: JSON.stringify({ instanceName: "main" }),
  });
  await response.body?.cancel();
  expect(response.status).toBe(status);
});
