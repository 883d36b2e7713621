import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startWorker, type TestWorker } from "../../worker.ts";
import { treeOf } from "./built-action.ts";
import { said } from "./page-text.ts";

describe("who may see what", () => {
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
  const config = JSON.stringify({
    stores: { S: {} },
    schedulers: { M: {} },
    dashboard: { public_url: "https://builds.example.com/" },
    services: { execution: ["main", "other"].map((name) => ({ instance_name: name, scheduler: "M", cas_store: "S" })) },
    access: {
      tokens: (["cache-reader", "executor", "agent", "operator"] as const).map((role) => ({
        name: role,
        sha256: sha256(`${role}-token`),
        roles: { main: [role] },
      })),
    },
  });
  let worker: TestWorker;
  beforeAll(async () => {
    worker = await startWorker({ config });
  });
  afterAll(() => worker.dispose());

  const visit = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(worker.url + path, {
      redirect: "manual",
      headers: { connection: "close", ...headers },
    });
    return { response, text: await response.text() };
  };
  const logIn = (token: string, next = "/ui/main", origin = worker.url) =>
    fetch(`${worker.url}/login`, {
      method: "POST",
      redirect: "manual",
      headers: { connection: "close", origin, "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ token, next }),
    });

  test("without a token every page is the form to log in, with the way back", async () => {
    for (const path of [
      "/",
      "/ui/main",
      "/ui/main/agents",
      "/ui/main/operations/0/00000000-0000-0000-0000-000000000000",
    ]) {
      const { response, text } = await visit(path);
      expect(response.status).toBe(401);
      expect(text).toContain(`name="next" value="${path}"`);
    }
  });

  test("a token is kept in a cookie that no script reads and no other site's form sends", async () => {
    expect((await logIn("wrong")).status).toBe(401);
    expect((await logIn("operator-token", "/", "https://elsewhere.example")).status).toBe(403);
    const response = await logIn("operator-token");
    expect(response.status).toBe(303);
    expect(response.headers.get("location")).toBe("/ui/main");
    const cookie = response.headers.get("set-cookie") ?? "";
    expect(cookie).toMatch(/^remex_token=operator-token; .*HttpOnly; SameSite=Lax$/);
    const { response: page, text } = await visit("/ui/main", { cookie: cookie.split(";")[0] ?? "" });
    expect(page.status).toBe(200);
    expect(said(text)).toContain("operator Log out");
    const { response: stale } = await visit("/ui/main", { cookie: "remex_token=revoked" });
    expect(stale.status).toBe(401);
    expect(stale.headers.get("set-cookie")).toContain("Max-Age=0");
  });

  test.each(["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"])(
    "the way back from the login leads nowhere else: %s",
    async (next) => {
      expect((await logIn("operator-token", next)).headers.get("location")).toBe("/");
    },
  );

  test("roles decide, by bearer or as a password", async () => {
    const status = async (role: string, path: string) =>
      (await visit(path, { authorization: `Bearer ${role}-token` })).response.status;
    expect(await status("operator", "/ui/main")).toBe(200);
    expect(await status("executor", "/ui/main/agents")).toBe(200);
    expect(await status("cache-reader", "/ui/main")).toBe(403);
    expect(await status("agent", "/ui/main")).toBe(403);
    expect(await status("operator", "/ui/other")).toBe(403);
    const basic = Buffer.from("anybody:executor-token").toString("base64");
    expect((await visit("/ui/main", { authorization: `Basic ${basic}` })).response.status).toBe(200);
    const { blobs, root } = treeOf({ a: "a" });
    expect(blobs).toHaveLength(2);
    const tree = `/ui/main/trees/sha256/${root.hash}/${root.sizeBytes}`;
    expect(await status("operator", tree)).toBe(403);
    expect(await status("cache-reader", tree)).toBe(404);
  });

  test("only operators drain", async () => {
    const drain = (role: string) =>
      fetch(`${worker.url}/ui/main/agents/drain`, {
        method: "POST",
        headers: {
          connection: "close",
          origin: worker.url,
          authorization: `Bearer ${role}-token`,
          "content-type": "application/x-www-form-urlencoded",
        },
        body: new URLSearchParams({ agent: "nobody", draining: "true" }),
      });
    expect((await drain("executor")).status).toBe(403);
    expect((await drain("operator")).status).toBe(404);
  });

  test("the front page shows an instance to whom it may", async () => {
    const { text } = await visit("/", { authorization: "Bearer operator-token" });
    expect(text).toContain('href="/ui/main"');
    expect(text).not.toContain('href="/ui/other"');
    expect(said((await visit("/", { authorization: "Bearer agent-token" })).text)).toContain("nothing to see here");
  });
});
