import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ActionResultSchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { connectClients, digestOf } from "../clients.ts";

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const access = {
  anonymous: { "open/inner": ["cache-writer"], "": ["cache-writer"] },
  tokens: ["cache-reader", "cache-writer", "executor", "agent"].map((role) => ({
    name: role,
    sha256: sha256(role),
    roles: { closed: [role] },
  })),
};

let worker: TestWorker;
beforeAll(async () => {
  const instances = ["open/inner", "", "closed"];
  worker = await startWorker({
    config: JSON.stringify({
      stores: { MAIN_STORE: { max_blob_bytes: 40 << 20 } },
      schedulers: { M: {} },
      services: {
        execution: instances.map((instance_name) => ({ instance_name, scheduler: "M", cas_store: "MAIN_STORE" })),
      },
      access,
    }),
  });
});
afterAll(() => worker.dispose());

const ask = (method: string, path: string, body?: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(worker.url + path, { method, headers: { connection: "close", ...headers }, ...(body && { body }) });
const put = async (path: string, body: Uint8Array<ArrayBuffer>) => (await ask("PUT", path, body)).status;
const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());

describe.each(["/open/inner", ""])("in the instance of %j", (prefix) => {
  // A row, an R2 object, one in parts, and one that is read in stretches.
  test.each([1, 100_000, 9_000_000, 40_000_000])("a blob of %i bytes comes back under its hash", async (sizeBytes) => {
    const blob = new Uint8Array(randomBytes(sizeBytes));
    const path = `${prefix}/cas/${sha256(blob)}`;
    expect((await ask("GET", path)).status).toBe(404);
    expect((await ask("HEAD", path)).status).toBe(404);

    expect(await put(path, blob)).toBe(201);
    expect(await put(path, blob)).toBe(201);

    const got = await ask("GET", path);
    expect(got.status).toBe(200);
    expect(Object.fromEntries(got.headers)).toMatchObject({
      etag: `"${sha256(blob)}"`,
      "content-length": String(sizeBytes),
      "accept-ranges": "bytes",
    });
    expect(Buffer.compare(await bytesOf(got), blob)).toBe(0);

    const head = await ask("HEAD", path);
    expect([head.status, head.headers.get("content-length"), head.headers.get("etag")]).toEqual([
      200,
      String(sizeBytes),
      `"${sha256(blob)}"`,
    ]);
    const gRpc = await connectClients(worker.url).cas.findMissingBlobs({
      instanceName: prefix.slice(1),
      blobDigests: [digestOf(blob)],
    });
    expect(gRpc.missingBlobDigests).toEqual([]);
  });
});

// A row and an R2 object.
test.each([10, 100_000])("a blob of %i bytes that came over gRPC is found by its hash", async (sizeBytes) => {
  const data = new Uint8Array(randomBytes(sizeBytes));
  const { cas } = connectClients(worker.url);
  await cas.batchUpdateBlobs({ instanceName: "", requests: [{ data, digest: digestOf(data) }] });
  const path = `/cas/${sha256(data)}`;
  expect((await ask("HEAD", path)).headers.get("content-length")).toBe(String(sizeBytes));
  expect(Buffer.compare(await bytesOf(await ask("GET", path)), data)).toBe(0);
  // The same store, so the same blobs.
  expect((await ask("HEAD", `/open/inner${path}`)).status).toBe(200);
});

test("parts of a blob can be asked for, and it is not sent to who has it", async () => {
  for (const sizeBytes of [1000, 100_000]) {
    const blob = new Uint8Array(randomBytes(sizeBytes));
    const path = `/cas/${sha256(blob)}`;
    const etag = `"${sha256(blob)}"`;
    await put(path, blob);

    const part = await ask("GET", path, undefined, { range: "bytes=100-199" });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, `bytes 100-199/${sizeBytes}`]);
    expect(await bytesOf(part)).toEqual(blob.subarray(100, 200));
    const others = await ask("GET", path, undefined, { range: "bytes=100-199", "if-range": '"another"' });
    expect([others.status, (await bytesOf(others)).length]).toEqual([200, sizeBytes]);
    const behind = await ask("GET", path, undefined, { range: `bytes=${sizeBytes}-` });
    expect([behind.status, behind.headers.get("content-range")]).toEqual([416, `bytes */${sizeBytes}`]);
    expect((await ask("GET", path, undefined, { "if-none-match": `"x", ${etag}` })).status).toBe(304);
  }
});

test("what does not have the hash in its path is not stored", async () => {
  const blob = new Uint8Array(randomBytes(30_000));
  const path = `/cas/${sha256("something else")}`;
  expect(await put(path, blob)).toBe(400);
  expect((await ask("GET", path)).status).toBe(404);
  expect(await put("/cas/00ff", blob)).toBe(400);
});

test("the empty blob is there before anybody stores it", async () => {
  const path = `/cas/${sha256("")}`;
  expect((await ask("HEAD", path)).status).toBe(200);
  const got = await ask("GET", path);
  expect([got.status, (await bytesOf(got)).length]).toEqual([200, 0]);
  expect(await put(path, new Uint8Array(0))).toBe(201);
});

test("an action result is stored if it is one, and served while its outputs are there", async () => {
  const output = new Uint8Array(randomBytes(500));
  const digest = digestOf(output);
  const result = toBinary(ActionResultSchema, create(ActionResultSchema, { outputFiles: [{ path: "a", digest }] }));
  const path = `/ac/${sha256(result)}`;

  expect(await put(path, new Uint8Array([255, 255]))).toBe(400);
  expect(await put(path, new Uint8Array(result))).toBe(201);
  expect((await ask("GET", path)).status).toBe(404);
  await put(`/cas/${digest.hash}`, output);
  // What was found to be incomplete was removed.
  expect((await ask("GET", path)).status).toBe(404);
  expect(await put(path, new Uint8Array(result))).toBe(201);
  const got = await ask("GET", path);
  expect(got.status).toBe(200);
  expect(fromBinary(ActionResultSchema, await bytesOf(got)).outputFiles[0]?.path).toBe("a");
  const head = await ask("HEAD", path);
  expect([head.status, head.headers.get("content-length")]).toEqual([200, String(result.length)]);
  const etag = got.headers.get("etag") ?? "";
  expect((await ask("GET", path, undefined, { "if-none-match": etag })).status).toBe(304);
  expect(await bytesOf(await ask("GET", path, undefined, { range: "bytes=1-2" }))).toEqual(result.subarray(1, 3));
  expect((await ask("GET", `/open/inner${path}`)).status).toBe(404);
});

test("action results are the same over HTTP and gRPC, the last one counts", async () => {
  const { actionCache } = connectClients(worker.url);
  const action = randomBytes(20);
  const actionDigest = digestOf(action);
  const path = `/ac/${actionDigest.hash}`;
  const resultOf = (exitCode: number) => create(ActionResultSchema, { exitCode });
  const overHttp = async () => {
    const bytes = await bytesOf(await ask("GET", path));
    return fromBinary(ActionResultSchema, bytes).exitCode;
  };
  const overGrpc = async () => (await actionCache.getActionResult({ instanceName: "", actionDigest })).exitCode;

  await put(path, new Uint8Array(toBinary(ActionResultSchema, resultOf(1))));
  expect([await overHttp(), await overGrpc()]).toEqual([1, 1]);
  await actionCache.updateActionResult({ instanceName: "", actionDigest, actionResult: resultOf(2) });
  expect([await overHttp(), await overGrpc()]).toEqual([2, 2]);
  await put(path, new Uint8Array(toBinary(ActionResultSchema, resultOf(3))));
  expect([await overHttp(), await overGrpc()]).toEqual([3, 3]);
  const rows = await Promise.all(
    [0, 1, 2, 3].map((shard) =>
      worker.shardSql(shard, "SELECT * FROM action_results WHERE hash = unhex(?)", actionDigest.hash),
    ),
  );
  expect(rows.flat().length).toBe(1);
});

test("a raw value is whatever was put last under its key, for its instance alone", async () => {
  const path = "/raw/ac/v1.2%20x";
  expect((await ask("GET", path)).status).toBe(404);
  for (const sizeBytes of [0, 10, 50_000, 9_000_000]) {
    const value = new Uint8Array(randomBytes(sizeBytes));
    expect(await put(path, value)).toBe(201);
    const got = await ask("GET", path);
    expect([got.status, got.headers.get("etag")]).toEqual([200, `"${sha256(value)}"`]);
    expect(Buffer.compare(await bytesOf(got), value)).toBe(0);
  }
  expect((await ask("GET", `/open/inner${path}`)).status).toBe(404);
  expect((await ask("GET", "/cas/v1")).status).toBe(400);
});

test("a raw value is not found once its blob is gone", async () => {
  const value = new Uint8Array(randomBytes(300));
  await put("/raw/key", value);
  for (let shard = 0; shard < 4; shard++) {
    await worker.shardSql(shard, "DELETE FROM blobs WHERE hash = unhex(?)", sha256(value));
  }
  expect((await ask("GET", "/raw/key")).status).toBe(404);
});

test("a body of unknown or impossible length is refused", async () => {
  const chunked = await new Promise<number | undefined>((resolve, reject) => {
    const sent = request(`${worker.url}/raw/chunked`, { method: "PUT" }, (response) => {
      resolve(response.resume().statusCode);
    }).on("error", reject);
    sent.write("some");
    sent.end("thing");
  });
  expect(chunked).toBe(411);
  expect(await put("/raw/large", new Uint8Array((32 << 20) + 1))).toBe(429);
  expect(await put(`/cas/${sha256("large")}`, new Uint8Array((40 << 20) + 1))).toBe(429);
});

test("a raw value can be deleted, for its instance alone", async () => {
  const value = new Uint8Array(randomBytes(10));
  await put("/raw/deleted", value);
  await put("/open/inner/raw/deleted", value);
  expect((await ask("DELETE", "/raw/deleted")).status).toBe(204);
  expect((await ask("GET", "/raw/deleted")).status).toBe(404);
  expect((await ask("DELETE", "/raw/deleted")).status).toBe(204);
  expect((await ask("GET", "/open/inner/raw/deleted")).status).toBe(200);
});

test("WebDAV finds values, and every collection that a client could want to be there", async () => {
  const propfind = async (path: string) => {
    const response = await ask("PROPFIND", path, Buffer.from("<propfind/>"), { depth: "0" });
    return { status: response.status, xml: await response.text() };
  };
  expect((await propfind("/raw/a/b/value")).status).toBe(404);
  for (const path of ["/raw/", "/open/inner/raw/", "/raw/a/b/"]) {
    const { status, xml } = await propfind(path);
    expect(status).toBe(207);
    expect(xml).toContain(`<D:href>${path}</D:href>`);
    expect(xml).toContain("<D:collection/>");
  }
  expect((await ask("MKCOL", "/raw/a/")).status).toBe(201);
  const value = new Uint8Array(randomBytes(123));
  expect(await put("/raw/a/b/x&y", value)).toBe(201);
  const { status, xml } = await propfind("/raw/a/b/x&y");
  expect(status).toBe(207);
  expect(xml).toContain("<D:href>/raw/a/b/x&amp;y</D:href>");
  expect(xml).toContain("<D:getcontentlength>123</D:getcontentlength>");
  expect(xml).toContain(`<D:getetag>"${sha256(value)}"</D:getetag>`);
  expect(xml).not.toContain("collection");
  expect(await put("/raw/a/", value)).toBe(405);
});

test("what is no way to use a cache entry is refused", async () => {
  const response = await ask("DELETE", `/cas/${sha256("")}`);
  expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, PUT"]);
  expect((await ask("PROPFIND", `/ac/${sha256("")}`)).status).toBe(405);
  expect((await ask("GET", `/nowhere/cas/${sha256("")}`)).status).toBe(401);
});

test("who may read or write blobs and action results may do so here, by a token or as a password", async () => {
  const blob = new Uint8Array(randomBytes(10));
  const cas = `/closed/cas/${sha256(blob)}`;
  const statusFor = async (role: string, method: string, path: string) => {
    const authorization = `Basic ${Buffer.from(`user:${role}`).toString("base64")}`;
    const body = method === "PUT" ? (path === cas ? blob : new Uint8Array(0)) : undefined;
    return (await ask(method, path, body, { authorization })).status;
  };
  const refused = await ask("GET", cas);
  expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([401, expect.stringContaining("Basic")]);
  expect((await ask("GET", cas, undefined, { authorization: "Bearer wrong" })).status).toBe(401);
  expect((await ask("PUT", cas, blob, { authorization: "Bearer cache-writer" })).status).toBe(201);

  const ac = `/closed/ac/${sha256("action")}`;
  const raw = "/closed/raw/key";
  const statuses = async (role: string) => [
    await statusFor(role, "PUT", cas),
    await statusFor(role, "PUT", ac),
    await statusFor(role, "PUT", raw),
    await statusFor(role, "GET", cas),
    await statusFor(role, "GET", ac),
    await statusFor(role, "HEAD", raw),
  ];
  expect(await statuses("cache-writer")).toEqual([201, 201, 201, 200, 200, 200]);
  expect(await statuses("cache-reader")).toEqual([403, 403, 403, 200, 200, 200]);
  expect(await statuses("executor")).toEqual([201, 403, 403, 200, 200, 200]);
  expect(await statuses("agent")).toEqual([201, 403, 403, 200, 403, 403]);
  for (const role of ["cache-reader", "executor", "agent"]) {
    expect([await statusFor(role, "DELETE", raw), await statusFor(role, "MKCOL", raw)]).toEqual([403, 403]);
  }
  expect(await statusFor("cache-reader", "PROPFIND", raw)).toBe(207);
  expect(await statusFor("agent", "PROPFIND", raw)).toBe(403);
});
