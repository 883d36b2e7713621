import { createHash, randomUUID } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { ScriptedAgent } from "../../durable-objects/instance/scripted-agent.ts";
import { blobOf } from "../../e2e/action.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { type Clients, refusalOf, streamOf, writeRequests } from "../clients.ts";
import { clientsWith, configOf, requestWith, retryDelayMs, ROLES, tokenNamed } from "./callers.ts";

const MEBIBYTE = 1 << 20;

/** So small that what comes back while a test runs is nothing. */
const CONFIG = configOf({
  anonymous: ROLES,
  anonymous_quota: { requests_per_minute: 1 },
  tokens: [
    tokenNamed("free"),
    tokenNamed("grpc-web", { requests_per_minute: 1 }),
    tokenNamed("connect", { requests_per_minute: 1 }),
    tokenNamed("http", { requests_per_minute: 1 }),
    tokenNamed("agent", { requests_per_minute: 1 }),
    tokenNamed("many", { requests_per_minute: 100_000 }),
    tokenNamed("uploads", { upload_bytes_per_hour: 2 * MEBIBYTE }),
    tokenNamed("page", { requests_per_minute: 1 }),
    tokenNamed("refused", { requests_per_minute: 1 }),
  ],
});

let worker: TestWorker;

beforeAll(async () => {
  worker = await startWorker({ config: CONFIG });
});
afterAll(() => worker.dispose());

const clientsOf = (token: string | undefined, createTransport = createGrpcWebTransport) =>
  clientsWith(worker.url, token, createTransport);

const request = (path: string, token: string, init?: Omit<RequestInit, "headers">) =>
  requestWith(worker.url + path, token, init);

/** One thing that many calls in a row do. */
const ask = ({ capabilities }: Clients) => capabilities.getCapabilities({ instanceName: "main" });

describe("calls", () => {
  test.each([
    ["grpc-web", createGrpcWebTransport],
    ["connect", createConnectTransport],
  ])("above the quota are RESOURCE_EXHAUSTED over %s, with a RetryInfo", async (name, createTransport) => {
    const clients = clientsOf(name, createTransport);
    await ask(clients);
    const error = await refusalOf(ask(clients));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toContain(`the quota of "${name}" is spent: 1 requests a minute`);
    expect(retryDelayMs(error)).toBeGreaterThan(0);
    expect(retryDelayMs(error)).toBeLessThanOrEqual(60_000);
  });

  test("of callers without a token count together", async () => {
    await ask(clientsOf(undefined));
    expect((await refusalOf(ask(clientsOf(undefined)))).code).toBe(Code.ResourceExhausted);
  });

  test("of others are not refused with them", async () => {
    for (let call = 0; call < 10; call += 1) await ask(clientsOf("free"));
  });

  test("above the quota touch nothing", async () => {
    await ask(clientsOf("refused"));
    const blob = blobOf(randomUUID());
    const { cas, byteStream } = clientsOf("refused");
    const writes = [
      () => cas.batchUpdateBlobs({ instanceName: "main", requests: [blob] }),
      () =>
        byteStream.write(
          streamOf(writeRequests(`main/uploads/${randomUUID()}/blobs/${blob.digest.hash}/36`, blob.data)),
        ),
    ];
    for (const write of writes) expect((await refusalOf(write())).code).toBe(Code.ResourceExhausted);
    const put = await request(`/main/cas/${blob.digest.hash}`, "refused", { method: "PUT", body: blob.data });
    expect(put.status).toBe(429);
    const { missingBlobDigests } = await clientsOf("free").cas.findMissingBlobs({
      instanceName: "main",
      blobDigests: [blob.digest],
    });
    expect(missingBlobDigests).toHaveLength(1);
  });

  test("over HTTP get 429 and Retry-After", async () => {
    const path = `/main/cas/${"0".repeat(64)}`;
    expect((await request(path, "http")).status).toBe(404);
    const refused = await request(path, "http");
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refused.text()).toContain("1 requests a minute");
  });

  test("for pages count, too", async () => {
    expect((await request("/ui/main", "page")).status).toBe(200);
    expect((await request("/ui/main", "page")).status).toBe(429);
  });

  test("of agents that want to connect count, too", async () => {
    const agent = await ScriptedAgent.open(worker.url, "agent", 0, "agent");
    await agent.close();
    await expect(ScriptedAgent.open(worker.url, "agent", 0, "agent")).rejects.toThrow("429");
  });

  test("ask the quota's object once for many, and those without a quota never", async () => {
    const stored = async (account: string) => {
      // The account itself, which may be somebody's address, is not what the object is called.
      const name = createHash("sha256").update(account).digest("hex");
      const storage = await worker.mf.unsafeGetDurableObjectStorage(LOCAL_WORKER.name, "Quota", { name });
      const [row] = await storage.exec("SELECT full_at_ms FROM buckets");
      return row?.full_at_ms;
    };
    await ask(clientsOf("many"));
    const afterOne = await stored("token many");
    expect(afterOne).toEqual(expect.any(Number));
    await Promise.all(Array.from({ length: 20 }, () => ask(clientsOf("many"))));
    await expect(stored("token many")).resolves.toBe(afterOne);
    await ask(clientsOf("free"));
    await expect(stored("token free")).resolves.toBeUndefined();
  });

  test("that are refused are counted for whoever operates every instance", async () => {
    const text = await (await request("/metrics", "free")).text();
    expect(text).toMatch(/remex_quota_refusals_total\{quota="token http"\} [1-9]/);
    expect(text).toContain('remex_quota_refusals_total{quota="token many"} 0');
    expect(text).not.toContain('quota="token free"');
  });
});

describe("uploads", () => {
  test("above the quota are refused in the middle", async () => {
    const { byteStream, cas } = clientsOf("uploads");
    const blob = blobOf(new Uint8Array(3 * MEBIBYTE));
    const name = `main/uploads/${randomUUID()}/blobs/${blob.digest.hash}/${blob.data.length}`;
    const error = await refusalOf(byteStream.write(streamOf(writeRequests(name, blob.data))));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toContain("2097152 bytes of uploads an hour");
    expect(retryDelayMs(error)).toBeGreaterThan(0);
    // A message that is read whole is refused the same way.
    const batch = cas.batchUpdateBlobs({ instanceName: "main", requests: [blobOf(new Uint8Array(MEBIBYTE))] });
    expect((await refusalOf(batch)).code).toBe(Code.ResourceExhausted);
  });
});
