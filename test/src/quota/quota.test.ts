import { createHash, randomUUID } from "node:crypto";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { RetryInfoSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { ScriptedAgent } from "../../durable-objects/instance/scripted-agent.ts";
import { blobOf } from "../../e2e/action.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { type Clients, connectClients, refusalOf, streamOf, writeRequests } from "../clients.ts";

const MEBIBYTE = 1 << 20;

const ROLES = { "*": ["cache-writer", "operator", "agent"] };

/** So small that what comes back while a test runs is nothing. */
const token = (name: string, quota?: object) => ({
  name,
  sha256: createHash("sha256").update(name).digest("hex"),
  roles: ROLES,
  ...(quota !== undefined && { quota }),
});

const CONFIG = JSON.stringify({
  stores: { MAIN_STORE: {} },
  schedulers: { M: {} },
  services: { execution: [{ instance_name: "main", scheduler: "M", cas_store: "MAIN_STORE" }] },
  access: {
    anonymous: ROLES,
    anonymous_quota: { requests_per_minute: 1 },
    tokens: [
      token("free"),
      token("grpc-web", { requests_per_minute: 1 }),
      token("connect", { requests_per_minute: 1 }),
      token("http", { requests_per_minute: 1 }),
      token("agent", { requests_per_minute: 1 }),
      token("many", { requests_per_minute: 100_000 }),
      token("uploads", { upload_bytes_per_hour: 2 * MEBIBYTE }),
      token("http-uploads", { upload_bytes_per_hour: MEBIBYTE }),
      token("splits", { upload_bytes_per_hour: MEBIBYTE }),
      token("page", { requests_per_minute: 1 }),
      token("refused", { requests_per_minute: 1 }),
    ],
  },
});

let worker: TestWorker;

beforeAll(async () => {
  worker = await startWorker({ config: CONFIG });
});
afterAll(() => worker.dispose());

function clientsOf(name: string | undefined, createTransport = createGrpcWebTransport): Clients {
  const withToken: Interceptor = (next) => (request) => {
    if (name !== undefined) request.header.set("authorization", `Bearer ${name}`);
    return next(request);
  };
  return connectClients(
    worker.url,
    createTransport({ baseUrl: worker.url, ...CONNECTION_PER_CALL, interceptors: [withToken] }),
  );
}

function request(path: string, name: string, init: RequestInit = {}): Promise<Response> {
  const headers = { connection: "close", authorization: `Bearer ${name}` };
  return fetch(worker.url + path, { ...init, headers });
}

function retryDelayMs(error: ConnectError): number {
  const [info] = error.findDetails(RetryInfoSchema);
  return info?.retryDelay === undefined ? NaN : durationMs(info.retryDelay);
}

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

  test("above the quota get 429 over HTTP", async () => {
    const blob = blobOf(new Uint8Array(2 * MEBIBYTE).fill(1));
    const path = `/main/cas/${blob.digest.hash}`;
    const put = await request(path, "http-uploads", { method: "PUT", body: blob.data });
    expect(put.status).toBe(429);
    expect(Number(put.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await request(path, "http-uploads")).status).toBe(404);
  });

  test("are what a blob is cut into, too", async () => {
    const blob = blobOf(new Uint8Array(2 * MEBIBYTE).fill(2));
    const name = `main/uploads/${randomUUID()}/blobs/${blob.digest.hash}/${blob.data.length}`;
    await clientsOf("free").byteStream.write(streamOf(writeRequests(name, blob.data)));
    const request = { instanceName: "main", blobDigest: blob.digest };
    const error = await refusalOf(clientsOf("splits").cas.splitBlob(request));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toContain("1048576 bytes of uploads an hour");
    // Once they are there they cost nothing.
    const { chunkDigests } = await clientsOf("free").cas.splitBlob(request);
    await expect(clientsOf("splits").cas.splitBlob(request)).resolves.toMatchObject({ chunkDigests });
  });
});
