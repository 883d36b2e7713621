import { createHash, randomBytes } from "node:crypto";
import { Code, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allows, type Right, type Role, ROLES } from "../../../src/access/roles.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { ScriptedAgent } from "../../durable-objects/instance/scripted-agent.ts";
import { blobOf } from "../../e2e/action.ts";
import { type Clients, clientsOver } from "../../e2e/clients.ts";
import { startWorker, type TestWorker } from "../../worker.ts";

const CONFIG = JSON.stringify({
  stores: { MAIN_STORE: {} },
  schedulers: { M: {} },
  services: { execution: [{ instance_name: "main", scheduler: "M", cas_store: "MAIN_STORE" }] },
  access: {
    anonymous: {},
    tokens: [
      ...ROLES.map((role) => ({ name: role, sha256: sha256(tokenOf(role)), roles: { main: [role] } })),
      { name: "stranger", sha256: sha256("stranger-token"), roles: { other: ["executor"] } },
    ],
  },
});

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function tokenOf(role: Role): string {
  return `${role}-token`;
}

const blob = blobOf("nobody has this");
const main = { instanceName: "main" };
const upload = { resourceName: `main/uploads/11111111-1111-1111-1111-111111111111/blobs/${blob.digest.hash}/15` };
const operation = { name: "main/operations/0/00000000-0000-0000-0000-000000000000" };

async function* once<T>(item: T): AsyncGenerator<T> {
  yield await Promise.resolve(item);
}

async function drain(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** One call of every method, and the right that it takes. */
const CALLS: readonly (readonly [name: string, right: Right, call: (clients: Clients) => Promise<unknown>])[] = [
  ["GetCapabilities", "ask-capabilities", ({ capabilities }) => capabilities.getCapabilities(main)],
  ["FindMissingBlobs", "read-blobs", ({ cas }) => cas.findMissingBlobs({ ...main, blobDigests: [blob.digest] })],
  ["BatchReadBlobs", "read-blobs", ({ cas }) => cas.batchReadBlobs({ ...main, digests: [blob.digest] })],
  ["GetTree", "read-blobs", ({ cas }) => drain(cas.getTree({ ...main, rootDigest: blob.digest }))],
  ["BatchUpdateBlobs", "write-blobs", ({ cas }) => cas.batchUpdateBlobs({ ...main, requests: [] })],
  [
    "ByteStream.Read",
    "read-blobs",
    ({ byteStream }) => drain(byteStream.read({ resourceName: `main/blobs/${blob.digest.hash}/15` })),
  ],
  [
    "ByteStream.Read of an action's output",
    "see-operations",
    ({ byteStream }) => drain(byteStream.read({ resourceName: `${operation.name}/stdout` })),
  ],
  [
    "ByteStream.Write",
    "write-blobs",
    ({ byteStream }) => byteStream.write(once({ ...upload, data: new Uint8Array(3), finishWrite: true })),
  ],
  ["QueryWriteStatus", "write-blobs", ({ byteStream }) => byteStream.queryWriteStatus(upload)],
  [
    "GetActionResult",
    "read-action-results",
    ({ actionCache }) => actionCache.getActionResult({ ...main, actionDigest: blob.digest }),
  ],
  [
    "UpdateActionResult",
    "write-action-results",
    ({ actionCache }) => actionCache.updateActionResult({ ...main, actionDigest: blob.digest, actionResult: {} }),
  ],
  ["SplitBlob", "read-blobs", ({ cas }) => cas.splitBlob({ ...main, blobDigest: blob.digest })],
  ["SpliceBlob", "write-blobs", ({ cas }) => cas.spliceBlob({ ...main, blobDigest: blob.digest, chunkDigests: [] })],
  ["Execute", "execute", ({ execution }) => drain(execution.execute({ ...main, actionDigest: blob.digest }))],
  ["WaitExecution", "see-operations", ({ execution }) => drain(execution.waitExecution(operation))],
  ["GetOperation", "see-operations", ({ operations }) => operations.getOperation(operation)],
  ["ListOperations", "see-operations", ({ operations }) => operations.listOperations({ name: "main" })],
  ["CancelOperation", "see-operations", ({ operations }) => operations.cancelOperation(operation)],
  ["DeleteOperation", "see-operations", ({ operations }) => operations.deleteOperation(operation)],
  ["WaitOperation", "see-operations", ({ operations }) => operations.waitOperation(operation)],
];

describe.each([
  ["gRPC-Web", createGrpcWebTransport],
  ["Connect", createConnectTransport],
])("over %s", (_protocol, createTransport) => {
  let worker: TestWorker;

  beforeAll(async () => {
    worker = await startWorker({ config: CONFIG });
  });
  afterAll(() => worker.dispose());

  function clientsWith(token: string | undefined): Clients {
    const withToken: Interceptor = (next) => (request) => {
      if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    return clientsOver(createTransport({ baseUrl: worker.url, ...CONNECTION_PER_CALL, interceptors: [withToken] }));
  }

  /** The code with which a call ends; undefined for success. */
  async function codeOf(call: (typeof CALLS)[number][2], token: string | undefined): Promise<unknown> {
    try {
      await call(clientsWith(token));
      return undefined;
    } catch (error) {
      return error instanceof Error && "code" in error ? error.code : error;
    }
  }

  test.each(CALLS)("%s takes the right to %s, and nothing else will do", async (_name, right, call) => {
    const refusals = [Code.PermissionDenied, Code.Unauthenticated];
    for (const role of ROLES) {
      const code = await codeOf(call, tokenOf(role));
      if (allows([role], right)) expect(refusals).not.toContain(code);
      else expect(code).toBe(Code.PermissionDenied);
    }
    await expect(codeOf(call, "stranger-token")).resolves.toBe(Code.PermissionDenied);
    await expect(codeOf(call, undefined)).resolves.toBe(Code.Unauthenticated);
    await expect(codeOf(call, "no-such-token")).resolves.toBe(Code.Unauthenticated);
  });

  test("a blob is not split for those who may not write: they get the chunks that there are already", async () => {
    // More than the largest chunk.
    const large = blobOf(randomBytes(3_000_000));
    const blobDigest = large.digest;
    const { cas } = clientsWith(tokenOf("cache-writer"));
    await cas.batchUpdateBlobs({ ...main, requests: [large] });
    const count = async () => {
      const shards = await Promise.all([0, 1, 2, 3].map((shard) => worker.shardSql(shard, "SELECT hash FROM blobs")));
      return shards.flat().length;
    };
    const before = await count();
    const split = (role: Role) => clientsWith(tokenOf(role)).cas.splitBlob({ ...main, blobDigest });
    await expect(split("cache-reader")).rejects.toMatchObject({ code: Code.NotFound });
    await expect(split("cache-reader")).rejects.toThrow("read it by ByteStream");
    await expect(count()).resolves.toBe(before);
    const { chunkDigests } = await split("cache-writer");
    await expect(count()).resolves.toBe(before + chunkDigests.length);
    await expect(split("cache-reader")).resolves.toMatchObject({ chunkDigests });
  });

  test("a client is told what it may, so that it does not try", async () => {
    const may = async (role: Role) => {
      const told = await clientsWith(tokenOf(role)).capabilities.getCapabilities(main);
      const updates = told.cacheCapabilities?.actionCacheUpdateCapabilities?.updateEnabled;
      return [updates, told.executionCapabilities?.execEnabled];
    };
    await expect(may("cache-reader")).resolves.toEqual([false, false]);
    await expect(may("cache-writer")).resolves.toEqual([true, false]);
    await expect(may("executor")).resolves.toEqual([false, true]);
    await expect(may("agent")).resolves.toEqual([false, false]);
    await expect(may("operator")).resolves.toEqual([false, false]);
  });

  test("metrics and demand are for operators", async () => {
    for (const path of ["/metrics", "/v1/instances/main/demand"]) {
      const statusFor = async (headers: Record<string, string>) =>
        (await fetch(worker.url + path, { headers: { connection: "close", ...headers } })).status;
      await expect(statusFor({ authorization: `Bearer ${tokenOf("operator")}` })).resolves.toBe(200);
      await expect(statusFor({})).resolves.toBe(401);
      for (const role of ROLES.filter((other) => other !== "operator")) {
        await expect(statusFor({ authorization: `Bearer ${tokenOf(role)}` })).resolves.toBe(403);
      }
      await expect(statusFor({ authorization: "Bearer stranger-token" })).resolves.toBe(403);
      await expect(statusFor({ authorization: "Bearer no-such-token" })).resolves.toBe(401);
    }
  });

  test("nobody but an agent connects as one", async () => {
    for (const role of ROLES) {
      const connecting = ScriptedAgent.open(worker.url, role, 0, tokenOf(role));
      if (role === "agent") await (await connecting).close();
      else await expect(connecting).rejects.toThrow("403");
    }
    await expect(ScriptedAgent.open(worker.url, "anonymous")).rejects.toThrow("401");
  });
});
