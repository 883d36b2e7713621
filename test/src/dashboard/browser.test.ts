import { join } from "node:path";
import { createHash } from "node:crypto";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import axe from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  LeaseResult_Outcome as Outcome,
  OutputRequest_Stream as OutputStream,
} from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { instanceConfig, useInstance } from "../../durable-objects/instance/instance-fixture.ts";
import { blobOf } from "../../e2e/action.ts";
import { clientsOver, upload } from "../../e2e/clients.ts";
import { CHROMIUM, lacking } from "../../e2e/tools.ts";
import { startWorker } from "../../worker.ts";
import { startBrowser } from "./browser.ts";
import { type BuiltAction, executeBuilt, treeOf } from "./built-action.ts";

/** A directory for pictures of all pages, for people to look at; none by default. */
const SCREENSHOTS = process.env["REMEX_TEST_SCREENSHOTS"];

const instance = useInstance({ no_worker_timeout_s: 600 });

const EVIL = `"><img src=x onerror=alert(1)><script>alert(2)</script>`;

const ACTION: BuiltAction = {
  target: `//app:${EVIL}`,
  mnemonic: `Compile${EVIL}`,
  invocation: "11111111-2222-3333-4444-555555555555",
  arguments: ["/bin/echo", EVIL],
  environment: { LANG: EVIL },
  inputs: { [`evil${EVIL.replaceAll("/", "")}.cc`]: EVIL, "dir/file.txt": "text" },
  outputs: [`out/${EVIL}`],
};

const LOOKS = [
  { name: "light", colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { name: "dark", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { name: "phone", colorScheme: "light", viewport: { width: 360, height: 740 } },
] as const;

const violationsSchema = z.array(
  z.object({
    id: z.string(),
    help: z.string(),
    nodes: z.array(z.object({ html: z.string(), failureSummary: z.string() })),
  }),
);

const LACKING = lacking(CHROMIUM);

describe.skipIf(LACKING !== "")(`in Chromium${LACKING}`, { timeout: 120_000 }, () => {
  let browser: Browser;
  const contexts: BrowserContext[] = [];
  /** What must not happen on any page: dialogs, errors of scripts, refusals by the Content-Security-Policy. */
  const faults: string[] = [];

  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    const { operations } = await instance.clients.operations.listOperations({ name: "main", filter: "done=false" });
    await Promise.all(operations.map(({ name }) => instance.clients.operations.cancelOperation({ name })));
    expect(faults.splice(0)).toEqual([]);
  });
  afterAll(() => browser.close());

  async function open(look: (typeof LOOKS)[number] = LOOKS[0]): Promise<Page> {
    const context = await browser.newContext({ ...look, baseURL: instance.worker.url, bypassCSP: false });
    contexts.push(context);
    context.setDefaultTimeout(60_000);
    const page = await context.newPage();
    page.on("dialog", (dialog) => {
      faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("pageerror", ({ message }) => faults.push(`script: ${message}`));
    page.on("console", (message) => {
      if (message.type() === "error" && !message.text().includes("the server responded")) faults.push(message.text());
    });
    return page;
  }

  /** An action that has failed, one that runs and one that nobody can run, all of them with hostile names and output. */
  async function prepare() {
    const agent = await instance.connect(`agent-${EVIL}`, {
      version: EVIL,
      platform: { properties: [{ name: EVIL, value: EVIL }] },
    });
    const stderr = blobOf(`\u001b[31m${EVIL}\u001b[0m\n`);
    const { blobs, root } = treeOf(ACTION.inputs ?? {});
    await upload(instance.clients, [stderr, ...blobs]);
    const failed = await executeBuilt(instance.clients, { ...ACTION, environment: { SALT: String(Math.random()) } });
    const { leaseId } = await agent.next("lease");
    agent.end(leaseId, {
      outcome: Outcome.COMPLETED,
      actionResult: {
        exitCode: 1,
        stderrDigest: stderr.digest,
        outputFiles: [{ path: EVIL, digest: stderr.digest }],
        outputSymlinks: [{ path: `${EVIL}2`, target: EVIL }],
      },
    });
    const { name: failedName } = await failed.done();
    const running = await executeBuilt(instance.clients, { ...ACTION, environment: { SALT: String(Math.random()) } });
    const { name: runningName } = await running.until(Stage.EXECUTING);
    await agent.next("lease");
    const stuck = await executeBuilt(instance.clients, { ...ACTION, properties: { OSFamily: EVIL } });
    const { name: stuckName } = await stuck.until(Stage.QUEUED);
    return {
      front: "/",
      login: "/login",
      instance: "/ui/main",
      agents: "/ui/main/agents",
      failed: `/ui/${failedName}`,
      running: `/ui/${runningName}`,
      stuck: `/ui/${stuckName}`,
      build: `/ui/main/invocations/${ACTION.invocation ?? ""}`,
      tree: `/ui/main/trees/sha256/${root.hash}/${root.sizeBytes}`,
      file: `/ui/main/files/sha256/${stderr.digest.hash}/${stderr.digest.sizeBytes}/${encodeURIComponent(EVIL.replaceAll("/", ""))}`,
      absent: "/ui/main/operations/0/00000000-0000-0000-0000-000000000000",
    };
  }

  test.each(LOOKS)("every page can be read by everybody, whatever builds put into it: $name", async (look) => {
    const pages = await prepare();
    const page = await open(look);
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(path);
      const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      expect([name, wide]).toEqual([name, 0]);
      if (SCREENSHOTS !== undefined) {
        await page.screenshot({ path: join(SCREENSHOTS, `${look.name} ${name}.png`), fullPage: true });
      }
      await page.evaluate(axe.source);
      const violations = violationsSchema.parse(
        await page.evaluate("axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations)"),
      );
      const told = violations.flatMap(({ help, id, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html}`));
      expect([name, told]).toEqual([name, []]);
    }
  });

  test("a page keeps up with what happens: queued, running with its output, ended", async () => {
    const page = await open();
    const stream = await executeBuilt(instance.clients, {
      ...ACTION,
      target: "//app:watched",
      environment: { A: "1" },
    });
    const { name } = await stream.until(Stage.QUEUED);
    await page.goto(`/ui/${name}`);
    await page.getByRole("status").getByText("no agent is connected").waitFor();
    const agent = await instance.connect("late");
    const { leaseId } = await agent.next("lease");
    await page.locator(".standing").getByText("running").waitFor();
    const request = await agent.next("outputRequest");
    const other = await agent.next("outputRequest");
    const stdout = request.stream === OutputStream.STDOUT ? request : other;
    agent.answer(stdout, `\u001b[32mhello\u001b[0m ${EVIL}`);
    await page.locator("#stdout ~ pre .ansi-fg-2", { hasText: "hello" }).waitFor();
    await page.locator("#stdout ~ pre", { hasText: "<script>alert(2)</script>" }).waitFor();

    // A hidden page reads nothing; one that is seen again reads from the beginning.
    const setHidden = (hidden: boolean) =>
      page.evaluate(
        `Object.defineProperty(document, "hidden", { value: ${hidden}, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));`,
      );
    await setHidden(true);
    await setHidden(false);
    for (;;) {
      const again = await agent.next("outputRequest");
      if (again.stream !== OutputStream.STDOUT || again.offset > 0n) continue;
      agent.answer(again, "once more");
      break;
    }
    await page.locator("#stdout ~ pre", { hasText: /^once more$/ }).waitFor();

    const output = blobOf("all of it");
    await upload(instance.clients, [output]);
    agent.end(leaseId, { outcome: Outcome.COMPLETED, actionResult: { exitCode: 7, stdoutDigest: output.digest } });
    await page.locator(".standing").getByText("exit code 7").waitFor();
    await page.locator("#stdout ~ pre", { hasText: "all of it" }).waitFor();
    await stream.response();
    await agent.leave();
  });

  test("without scripts the pages say the same", async () => {
    const pages = await prepare();
    const context = await browser.newContext({ baseURL: instance.worker.url, javaScriptEnabled: false });
    contexts.push(context);
    const page = await context.newPage();
    await page.goto(pages.failed);
    await page.getByRole("heading", { level: 1, name: "Compile" }).waitFor();
    await page.locator("pre", { hasText: "<script>alert(2)</script>" }).first().waitFor();
    await page.goto(pages.agents);
    await page.getByRole("button", { name: "Drain agent-" }).click();
    await page.getByRole("button", { name: "Resume agent-" }).waitFor();
  });

  test("all of it can be reached with the keyboard", async () => {
    const pages = await prepare();
    const page = await open();
    await page.goto(pages.instance);
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("main");
    const action = page.getByRole("table", { name: "Finished" }).getByRole("link").first();
    const href = await action.getAttribute("href");
    // Within so many steps: the page's links, and the tables that can be scrolled.
    for (let steps = 0; steps < 60; steps++) {
      await page.keyboard.press("Tab");
      if ((await page.evaluate("document.activeElement.getAttribute('href')")) === href) break;
    }
    await page.keyboard.press("Enter");
    await page.waitForURL(`**${href ?? ""}`);
    const command = page.getByRole("button", { name: "Copy" });
    await command.focus();
    await page.keyboard.press("Enter");
  });

  test("who follows a link logs in once, and comes to where it leads; the command is copied as it is", async () => {
    const sha256 = createHash("sha256").update("secret").digest("hex");
    const roles = { main: ["executor", "operator"] };
    const config = JSON.stringify({
      ...z.record(z.string(), z.unknown()).parse(JSON.parse(instanceConfig({}))),
      access: { tokens: [{ name: "somebody", sha256, roles }] },
    });
    const worker = await startWorker({ config });
    const transport = createGrpcWebTransport({
      baseUrl: worker.url,
      ...CONNECTION_PER_CALL,
      interceptors: [
        (next) => (request) => {
          request.header.set("authorization", "Bearer secret");
          return next(request);
        },
      ],
    });
    const stream = await executeBuilt(clientsOver(transport), { ...ACTION, arguments: ["echo", "it's"] });
    const { name } = await stream.until(Stage.QUEUED);

    const page = await open();
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: worker.url });
    await page.goto(`${worker.url}/ui/${name}`);
    await page.getByLabel("Token").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("not accepted").waitFor();
    await page.getByLabel("Token").fill("secret");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.waitForURL(`${worker.url}/ui/${name}`);
    await page.getByText("somebody").waitFor();
    expect(await page.evaluate("document.cookie")).toBe("");
    await page.getByRole("button", { name: "Copy" }).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toMatch(/ echo 'it'\\''s'$/);
    await page.getByRole("button", { name: "Log out" }).click();
    await page.goto(`${worker.url}/ui/main`);
    await page.getByLabel("Token").waitFor();
    await worker.dispose();
  });

  test("what a reader has in focus stays so while the page keeps up", async () => {
    const pages = await prepare();
    const page = await open();
    await page.goto(pages.instance);
    const link = page.getByRole("table", { name: "Finished" }).getByRole("link").first();
    const href = await link.getAttribute("href");
    await link.focus();
    await page.evaluate("document.getElementById('standing').classList.add('seen')");
    await page.locator("#standing:not(.seen)").waitFor();
    expect(await page.evaluate("document.activeElement.getAttribute('href')")).toBe(href);
  });
});
