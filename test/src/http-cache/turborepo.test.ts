import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startWorker, type TestWorker } from "../../worker.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

let worker: TestWorker;
beforeAll(async () => {
  worker = await startWorker({
    config: JSON.stringify({
      stores: { MAIN_STORE: {} },
      schedulers: { M: {} },
      services: { execution: [{ instance_name: "main", scheduler: "M", cas_store: "MAIN_STORE" }] },
      access: {
        anonymous: {},
        tokens: ["cache-reader", "cache-writer", "operator"].map((role) => ({
          name: role,
          sha256: sha256(role),
          roles: { main: [role] },
        })),
      },
    }),
  });
});
afterAll(() => worker.dispose());

/** A request as the client makes it with TURBO_API=…/main/raw/turbo, TURBO_TOKEN and TURBO_TEAM. */
function ask(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: Uint8Array<ArrayBuffer> | string,
  token = "cache-writer",
): Promise<Response> {
  return fetch(`${worker.url}/main/raw/turbo/v8/artifacts${path}?slug=team`, {
    method,
    headers: {
      connection: "close",
      authorization: `Bearer ${token}`,
      "user-agent": "turbo 2.5.0 1.80.0 linux x86_64",
      ...headers,
    },
    ...(body !== undefined && { body }),
  });
}

/** One that can't be taken for a number, which would come first in an object. */
const newHash = () => `a${randomBytes(8).toString("hex")}`;
const upload = { "content-type": "application/octet-stream", "x-artifact-client-ci": "GITHUB_ACTIONS" };

// A row, and an R2 object.
test.each([300, 200_000])("an artifact of %i bytes comes back with its signature and its duration", async (size) => {
  const hash = newHash();
  const artifact = new Uint8Array(randomBytes(size));
  const tag = randomBytes(32).toString("base64");
  expect((await ask("HEAD", `/${hash}`)).status).toBe(404);
  expect((await ask("GET", `/${hash}`)).status).toBe(404);
  const said = { "x-artifact-tag": tag, "x-artifact-duration": "1234" };
  expect((await ask("PUT", `/${hash}`, { ...upload, ...said }, artifact)).ok).toBe(true);

  for (const method of ["HEAD", "GET"]) {
    const response = await ask(method, `/${hash}`);
    expect([response.status, response.headers.get("content-length")]).toEqual([200, String(size)]);
    expect(Object.fromEntries(response.headers)).toMatchObject(said);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.equals(method === "GET" ? artifact : Buffer.alloc(0))).toBe(true);
  }

  // The same bytes under another hash have what was said of those, and so have those that are put again.
  const other = newHash();
  expect((await ask("PUT", `/${other}`, { ...upload, "x-artifact-duration": "7" }, artifact)).ok).toBe(true);
  const plain = await ask("HEAD", `/${other}`);
  expect([plain.headers.get("x-artifact-tag"), plain.headers.get("x-artifact-duration")]).toEqual([null, "7"]);
  expect((await ask("PUT", `/${hash}`, { ...upload, "x-artifact-tag": "another" }, artifact)).ok).toBe(true);
  const again = await ask("HEAD", `/${hash}`);
  expect([again.headers.get("x-artifact-tag"), again.headers.get("x-artifact-duration")]).toEqual(["another", null]);
});

test("a signature that is too long is refused, and nothing is stored", async () => {
  const hash = newHash();
  const refused = await ask("PUT", `/${hash}`, { ...upload, "x-artifact-tag": "x".repeat(601) }, "artifact");
  expect(refused.status).toBe(400);
  expect(await refused.text()).toContain("x-artifact-tag has 601 characters");
  expect((await ask("HEAD", `/${hash}`)).status).toBe(404);
});

test("the cache is enabled for who may use it, and the events of a run are taken", async () => {
  const events = JSON.stringify([
    {
      sessionId: "7a2ef0a5-8b1e-4f4c-9d3e-0d7c1c2a9a10",
      source: "REMOTE",
      event: "HIT",
      hash: newHash(),
      duration: 400,
    },
    { sessionId: "7a2ef0a5-8b1e-4f4c-9d3e-0d7c1c2a9a10", source: "LOCAL", event: "MISS", hash: newHash(), duration: 0 },
  ]);
  const json = { "content-type": "application/json" };
  for (const token of ["cache-writer", "cache-reader"]) {
    const status = await ask("GET", "/status", {}, undefined, token);
    expect([status.status, await status.json()]).toEqual([200, { status: "enabled" }]);
    expect((await ask("POST", "/events", json, events, token)).ok).toBe(true);
  }
  for (const [token, code] of [
    ["operator", 403],
    ["wrong", 401],
  ] as const) {
    expect((await ask("GET", "/status", {}, undefined, token)).status).toBe(code);
    expect((await ask("POST", "/events", json, events, token)).status).toBe(code);
  }
  expect((await ask("PUT", `/${newHash()}`, upload, "artifact", "cache-reader")).status).toBe(403);
});

test("before a request the client may ask what it may have, and shows its token to those that take it", async () => {
  const asking = {
    "access-control-request-method": "GET",
    "access-control-request-headers": "Authorization, User-Agent",
  };
  const response = await ask("OPTIONS", `/${newHash()}`, asking);
  expect(response.ok).toBe(true);
  const allowed = response.headers.get("access-control-allow-headers")?.split(", ") ?? [];
  expect(allowed).toEqual(expect.arrayContaining(["Authorization", "x-artifact-tag", "x-artifact-duration"]));
  expect(response.headers.get("access-control-allow-origin")).toBeNull();
});

describe("a query for many artifacts", () => {
  const json = { "content-type": "application/json" };
  const query = (body: string, token?: string) => ask("POST", "", json, body, token);

  test("tells what is known of each", async () => {
    const [signed, plain, odd, absent] = [newHash(), newHash(), newHash(), newHash()];
    const said = { "x-artifact-tag": "a signature", "x-artifact-duration": "1234" };
    await ask("PUT", `/${signed}`, { ...upload, ...said }, "artifact");
    await ask("PUT", `/${plain}`, upload, "another artifact");
    await ask("PUT", `/${odd}`, { ...upload, "x-artifact-duration": "long" }, "");
    const response = await query(
      JSON.stringify({ hashes: [signed, absent, plain, odd, signed, "__proto__"] }),
      "cache-reader",
    );
    expect(response.headers.get("content-type")).toBe("application/json");
    // As text, in which nothing is hidden.
    expect([response.status, await response.text()]).toEqual([
      200,
      `{"${signed}":{"size":8,"taskDurationMs":1234,"tag":"a signature"},"${absent}":null,` +
        `"${plain}":{"size":16,"taskDurationMs":0},"${odd}":{"size":0,"taskDurationMs":0},"__proto__":null}`,
    ]);
  });

  test("is for who may read", async () => {
    const body = JSON.stringify({ hashes: [newHash()] });
    expect((await query(body, "operator")).status).toBe(403);
    expect((await query(body, "wrong")).status).toBe(401);
  });

  test("asks for no more than is looked up for one request", async () => {
    const hashes = (count: number) => JSON.stringify({ hashes: Array.from({ length: count }, newHash) });
    const most = await query(hashes(1000));
    expect((await most.text()).match(/:null/g)).toHaveLength(1000);
    const more = await query(hashes(1001));
    expect([more.status, await more.text()]).toEqual([400, expect.stringContaining("at most 1000 hashes")]);
    const long = await query(JSON.stringify({ hashes: ["x".repeat(70_000)] }));
    expect(long.status).toBe(413);
  });

  test.each(["", "hashes", "[]", "{}", '{"hashes":"x"}', '{"hashes":[1]}', '{"hashes":[""]}', "\xff"])(
    "is refused if it is %j",
    async (body) => {
      const refused = await query(body);
      expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("a query is JSON")]);
    },
  );
});
