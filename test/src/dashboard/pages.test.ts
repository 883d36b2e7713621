import { describe, expect, test, vi } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { useInstance } from "../../durable-objects/instance/instance-fixture.ts";
import { blobOf } from "../../e2e/action.ts";
import { upload } from "../../e2e/clients.ts";
import { type BuiltAction, executeBuilt, treeOf } from "./built-action.ts";
import { said } from "./page-text.ts";

const instance = useInstance({ no_worker_timeout_s: 600 });

async function get(path: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  const response = await fetch(instance.worker.url + path, { headers: { connection: "close", ...headers } });
  return { status: response.status, text: await response.text() };
}

function pathOf(operationName: string): string {
  return `/ui/${operationName}`;
}

const COMPILE: BuiltAction = {
  target: "//app:main",
  mnemonic: "CppCompile",
  invocation: "build-1",
  arguments: ["clang", "-c", "it's.cc", "-o", "out/main.o"],
  environment: { PATH: "/bin", LANG: "C" },
  inputs: { "it's.cc": "int main;", "include/a.h": "a", "include/deep/b.h": "b" },
  outputs: ["out/main.o"],
};

/** An action of a target like COMPILE, and no other target's: else it would be found in the cache. */
function compile(target: string): BuiltAction {
  return { ...COMPILE, target, environment: { ...COMPILE.environment, TARGET: target } };
}

/** Executes an action to its end. */
async function build(action: BuiltAction, actionResult: ActionResult = {}): Promise<string> {
  const agent = await instance.connect(`agent-${Math.random()}`);
  const stream = await executeBuilt(instance.clients, action);
  const { name } = await stream.next();
  const { leaseId } = await agent.next("lease");
  agent.end(leaseId, { outcome: Outcome.COMPLETED, actionResult });
  await stream.response();
  await agent.leave();
  return name;
}

type Agent = Awaited<ReturnType<typeof instance.connect>>;
type ActionResult = NonNullable<Parameters<Agent["end"]>[1]["actionResult"]>;

describe("an operation's page", () => {
  test("tells of the command, the outputs and the streams, with everything escaped", async () => {
    const stderr = blobOf("\u001b[31mred\u001b[0m <script>alert(1)</script>");
    const object = blobOf("object");
    await upload(instance.clients, [stderr, object]);
    const name = await build(COMPILE, {
      exitCode: 1,
      stderrDigest: stderr.digest,
      outputFiles: [{ path: "out/<b>.o", digest: object.digest }],
    });
    const { status, text } = await get(pathOf(name));
    expect(status).toBe(200);
    expect(said(text)).toContain("CppCompile //app:main");
    expect(said(text)).toContain("exit code 1");
    expect(said(text)).toContain(`env -i PATH=/bin LANG=C clang -c 'it'\\''s.cc' -o out/main.o`);
    expect(text).toContain('<span class="ansi-fg-1">red</span>');
    expect(text).not.toContain("<script>alert");
    expect(text).not.toContain("<b>");
    expect(said(text)).toContain("out/<b>.o");
  });

  test("is linked from what clients are told", async () => {
    const agent = await instance.connect("linker");
    const stream = await executeBuilt(instance.clients, compile("//app:linked"));
    const { name } = await stream.until(Stage.EXECUTING);
    agent.complete((await agent.next("lease")).leaseId);
    const { message } = await stream.response();
    expect(message).toBe(`${instance.worker.url}${pathOf(name)}`);
    expect((await fetch(message, { headers: { connection: "close" } })).status).toBe(200);
  });

  test("says what changed since the last execution of the same target", async () => {
    const target = "//app:changing";
    await build(compile(target));
    const name = await build({
      ...compile(target),
      arguments: ["clang", "-Wall", "-c", "it's.cc", "-o", "out/main.o"],
      environment: { ...compile(target).environment, LANG: "de" },
      inputs: { ...COMPILE.inputs, "include/deep/b.h": "changed", "include/new.h": "" },
    });
    const text = said((await get(pathOf(name))).text);
    expect(text).toContain("1 argument, 1 environment variable and 2 inputs changed since it was executed");
    for (const change of [
      "argument none -Wall",
      "environment variable LANG C de",
      "input include/deep/b.h",
      "input include/new.h none",
    ]) {
      expect(text).toContain(change);
    }
    expect(text).not.toContain("input include/a.h");
    const again = await build({ ...compile(target), doNotCache: true });
    expect(said((await get(pathOf(again))).text)).toContain("must not be cached");
  });

  test("tells of large changes as far as a page can", async () => {
    const target = "//app:large";
    const files = (text: string) =>
      Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`d${index % 30}/f${index}`, text]));
    await build({ ...compile(target), inputs: files("before") });
    const name = await build({ ...compile(target), inputs: { ...files("after"), "d0/more": "" } });
    const text = said((await get(pathOf(name))).text);
    expect(text).toContain("200 inputs changed since it was executed");
    expect(text).toContain("There may be more: only the first 200 differences are shown.");
  });

  test("says of the very same action why its result was not there", async () => {
    const target = "//app:failing";
    await build(compile(target), { exitCode: 2 });
    const name = await build(compile(target), { exitCode: 2 });
    expect(said((await get(pathOf(name))).text)).toContain("It did not succeed then, and only success is cached.");
  });

  test("tells of attempts that were spoiled", async () => {
    const agent = await instance.connect("spoiler");
    const stream = await executeBuilt(instance.clients, compile("//app:retried"));
    const { name } = await stream.until(Stage.EXECUTING);
    const status = { message: "the disk <is> full" };
    agent.end((await agent.next("lease")).leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status });
    agent.complete((await agent.next("lease")).leaseId);
    await stream.response();
    const text = said((await get(pathOf(name))).text);
    expect(text).toMatch(/Attempts .*the disk <is> full.* succeeded on spoiler/);
  });

  test("says why it waits", async () => {
    const stream = await executeBuilt(instance.clients, { ...COMPILE, properties: { OSFamily: "plan9" } });
    const { name } = await stream.until(Stage.QUEUED);
    const { text } = await get(pathOf(name));
    expect(said(text)).toMatch(/Nobody can run it: no agent is connected\. It is refused in \d+ min/);
    await instance.clients.operations.cancelOperation({ name });
    const cancelled = async () => {
      expect(said((await get(pathOf(name))).text)).toContain("cancelled");
    };
    await vi.waitFor(cancelled, { timeout: 20_000 });
  });

  test("says what goes before it, or what it lacks, where there are agents", async () => {
    const agent = await instance.connect("only-one");
    const started = async (target: string, properties: Record<string, string> = {}) => {
      const stream = await executeBuilt(instance.clients, { ...compile(target), properties });
      return { stream, ...(await stream.until(Stage.QUEUED)) };
    };
    const running = await executeBuilt(instance.clients, compile("//app:running"));
    const { leaseId } = await agent.next("lease");
    const [next, last, lacking] = [
      await started("//app:next"),
      await started("//app:last"),
      await started("//app:lacking", { OSFamily: "plan9" }),
    ];
    const why = async ({ name }: { readonly name: string }) => said((await get(pathOf(name))).text);
    const busy = "The agent that could run it is busy (1 action for this platform under way).";
    expect(await why(next)).toContain(`It is next. ${busy}`);
    expect(await why(last)).toContain(`1 action for the same platform goes before it. ${busy}`);
    expect(await why(lacking)).toMatch(/Nobody can run it: .*OSFamily.*plan9/);
    for (const { name } of [next, last, lacking]) await instance.clients.operations.cancelOperation({ name });
    agent.complete(leaseId);
    await running.response();
    await agent.leave();
  });

  test("shows output as it is written, to scripts in pieces of a page", async () => {
    const agent = await instance.connect("writer");
    const stream = await executeBuilt(instance.clients, compile("//app:live"));
    const { name } = await stream.until(Stage.EXECUTING);
    const { leaseId } = await agent.next("lease");
    expect((await get(pathOf(name))).text).toContain(`data-stream="${pathOf(name)}/stdout"`);
    const events = await fetch(`${instance.worker.url}${pathOf(name)}/stdout`, {
      headers: { accept: "text/event-stream", "last-event-id": "5 0;31" },
    });
    const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
    const request = await agent.next("outputRequest");
    expect(request.offset).toBe(5n);
    agent.answer(request, "<b>&\n");
    let text = "";
    while (!text.includes("\n\n")) text += (await reader?.read())?.value ?? "";
    expect(text).toContain(`data: ${JSON.stringify('<span class="ansi-fg-1">&lt;b&gt;&amp;\n</span>')}`);
    expect(text).toContain("id: 10 0;31");
    agent.complete(leaseId);
    while (!text.includes("event: end")) text += (await reader?.read())?.value ?? "";
    await stream.response();
    await agent.leave();
  });

  test("is not found when nothing is known of it", async () => {
    const { status, text } = await get(pathOf("main/operations/0/00000000-0000-0000-0000-000000000000"));
    expect(status).toBe(404);
    expect(said(text)).toContain("it ended too long ago");
    expect((await get("/ui/main/operations/0/nonsense")).status).toBe(404);
    expect((await get("/ui/nobody")).status).toBe(404);
    expect(said((await get("/ui/main/nothing")).text)).toContain("There is no page at /ui/main/nothing.");
    expect((await get("/ui/main/operations/99/00000000-0000-0000-0000-000000000000/stdout")).status).toBe(404);
  });
});

describe("what lies in the CAS", () => {
  test("input trees are walked by path, files are shown and downloaded", async () => {
    const { blobs, root } = treeOf(COMPILE.inputs ?? {});
    await upload(instance.clients, blobs);
    const tree = `/ui/main/trees/sha256/${root.hash}/${root.sizeBytes}`;
    expect(said((await get(tree)).text)).toContain("include/ directory it's.cc file 9 B");
    const deep = await get(`${tree}/include/deep`);
    expect(said(deep.text)).toContain("b.h file 1 B");
    const [, href = ""] = /href="(\/ui\/main\/files\/[^"]+)"/.exec(deep.text) ?? [];
    expect(said((await get(href)).text)).toContain("b.h 1 B Download b ");
    const download = await fetch(`${instance.worker.url}${href}?download`, { headers: { connection: "close" } });
    expect(download.headers.get("content-disposition")).toBe("attachment; filename*=UTF-8''b.h");
    expect(download.headers.get("x-content-type-options")).toBe("nosniff");
    await expect(download.text()).resolves.toBe("b");
    expect((await get(`${tree}/include/nothing`)).status).toBe(404);
    expect((await get(`${tree}/%E0%A4%A`)).status).toBe(404);
    const odd = await fetch(
      `${instance.worker.url}${href.replace(/[^/]+$/, encodeURIComponent("it's (ü).h"))}?download`,
    );
    expect(odd.headers.get("content-disposition")).toBe("attachment; filename*=UTF-8''it%27s%20%28%C3%BC%29.h");
    await odd.text();
  });

  test("what is not there has a page that says so, with the status of its absence", async () => {
    const { digest } = blobOf("never uploaded");
    const blob = `sha256/${digest.hash}/${digest.sizeBytes}`;
    for (const page of [`actions/${blob}`, `trees/${blob}`, `output-trees/${blob}`, `files/${blob}/name`]) {
      const { status, text } = await get(`/ui/main/${page}`);
      expect([page, status]).toEqual([page, 404]);
      expect(said(text)).toContain("is no longer in the CAS");
    }
    expect((await get("/ui/main/trees/sha256/short/1")).status).toBe(404);
    expect((await get(`/ui/main/trees/crc32/${digest.hash}/1`)).status).toBe(404);
  });
});

test("no address and no blob makes the Worker fail", async () => {
  const text = blobOf("\u00ff\u00ff\u00ffthis is no message");
  await upload(instance.clients, [text]);
  const blob = `sha256/${text.digest.hash}/${text.digest.sizeBytes}`;
  const zero = `sha256/${"0".repeat(64)}`;
  for (const path of [
    ...["actions", "trees", "output-trees"].map((page) => `main/${page}/${blob}`),
    `main/trees/${blob}/${"a/".repeat(500)}`,
    `main/actions/${zero}/99999999999999999999`,
    `main/actions/${zero}/-1`,
    `main/actions/${zero}/0`,
    `main/actions/__proto__/${"0".repeat(64)}/0`,
    `main/actions/${blob.toUpperCase()}`,
    "main/operations/-1/00000000-0000-0000-0000-000000000000",
    "main/operations/1e9/00000000-0000-0000-0000-000000000000",
    "main/operations/0/%00",
    "main/invocations/%FF%00%3Cscript%3E",
    `main/invocations/${"x".repeat(4000)}`,
    "%00",
    "constructor",
    "~",
    "main%2f..%2fmain",
  ]) {
    const { status, text: html } = await get(`/ui/${path}`);
    expect([path, status]).toEqual([path, 404]);
    expect(html).not.toContain("<script>");
    expect(html).not.toContain("internal error");
  }
});

describe("a build's page", () => {
  test("counts executions and hits, and finds the chain that it waited for", async () => {
    const invocation = "build with spaces/and slash";
    await build({ ...compile("//chain:a"), invocation });
    await build({ ...compile("//chain:b"), invocation }, { exitCode: 1 });
    const hit = await executeBuilt(instance.clients, { ...compile("//chain:a"), invocation });
    await expect(hit.response()).resolves.toMatchObject({ cachedResult: true });
    const { status, text } = await get(`/ui/main/invocations/${encodeURIComponent(invocation)}`);
    expect(status).toBe(200);
    expect(said(text)).toContain("Actions 3 Executed 2 1 failed Found in the cache 33 % 1 hit");
    expect(said(text)).toContain("Critical path 2 actions");
    expect(said(text)).toMatch(/Cost about \$0\.0000\d+/);
    expect((await get("/ui/main/invocations/unheard-of")).status).toBe(404);
  });
});

describe("agents", () => {
  test("are shown with what they have and use", async () => {
    const agent = await instance.connect("laden", {
      maxActions: 3,
      platform: { properties: [{ name: "cpu_count", value: "8" }] },
      cache: { bytes: 3n << 20n, maxBytes: 10n << 30n, files: 17n },
    });
    const stream = await executeBuilt(instance.clients, {
      ...compile("//app:laden"),
      properties: { cpu_count: "2" },
    });
    const { name } = await stream.until(Stage.EXECUTING);
    const { leaseId } = await agent.next("lease");
    const { text } = await get("/ui/main/agents");
    expect(said(text)).toContain("Actions 1 of 3");
    expect(said(text)).toContain("cpu_count 2 of 8");
    expect(said(text)).toContain("Cache 3.0 MiB of 10.0 GiB");
    expect(said(text)).toContain("17 files in its cache");
    expect(said(text)).toContain("cpu_count=8");
    expect(text).toContain(`href="${pathOf(name)}"`);
    agent.complete(leaseId);
    await stream.response();
    await agent.leave();
  });

  test("are drained from their page, by a form of this very site alone", async () => {
    const agent = await instance.connect("drained", { version: "9.8.7" });
    const { text } = await get("/ui/main/agents");
    expect(said(text)).toContain("drained connected");
    expect(said(text)).toContain("Version 9.8.7");
    const post = (headers: Record<string, string>) =>
      fetch(`${instance.worker.url}/ui/main/agents/drain`, {
        method: "POST",
        redirect: "manual",
        headers: { connection: "close", "content-type": "application/x-www-form-urlencoded", ...headers },
        body: new URLSearchParams({ agent: agent.id, draining: "true" }),
      });
    expect((await post({})).status).toBe(403);
    expect((await post({ origin: "https://elsewhere.example" })).status).toBe(403);
    expect(agent.pending("drain")).toBe(0);
    expect((await post({ origin: instance.worker.url })).status).toBe(303);
    await expect(agent.next("drain")).resolves.toMatchObject({ draining: true });
    expect(said((await get("/ui/main/agents")).text)).toContain("drained draining");
  });
});

test("every page forbids what it has no use for, and is kept by nobody", async () => {
  for (const path of ["/", "/ui/main", "/login", "/ui/nobody"]) {
    const { headers } = await fetch(instance.worker.url + path, { headers: { connection: "close" } });
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(headers.get("content-security-policy")).not.toContain("unsafe");
    expect(headers.get("cache-control")).toBe("private, no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("the paths of the HTTP cache are not the dashboard's", async () => {
  expect((await get(`/main/cas/${"0".repeat(64)}`)).text).toBe("not in the cache\n");
  expect((await get(`/ui/cas/${"0".repeat(64)}`)).status).not.toBe(200);
});
