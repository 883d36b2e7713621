import { join, dirname } from "node:path";
import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, it, vi } from "vitest";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { DEFAULT_LIMITS } from "../../../worker-agents/limits.ts";
import { DEFAULT_SANDBOX_PATHS } from "../../../worker-agents/sandbox.ts";
import { leaseOf } from "../leases.ts";
import { waitUntilGone } from "../processes.ts";
import { runAction } from "../run-action.ts";
import { startAgent, temporaryDirectory, type RunningAgent } from "../running-agent.ts";
import { lackingForSandbox } from "../lacking.ts";
import { said, work, type WorkOptions } from "./tool.ts";

async function doWork(agent: RunningAgent, order: readonly string[], options?: WorkOptions) {
  const ran = await runAction(agent, work(order, options));
  return { ...ran, ...said(ran.stderr) };
}

describe.each(["proto", "json"] as const)("a persistent worker that speaks %s", (protocol) => {
  it("does one action after another, each with its own inputs, outputs and exit code", async () => {
    const agent = await startAgent();
    const first = await doWork(agent, ["copy", "in", "out"], { protocol, inputs: { in: "one" }, outputPaths: ["out"] });
    expect(first).toMatchObject({
      outcome: "COMPLETED",
      exitCode: 0,
      stdout: "",
      done: 0,
      alone: false,
      text: "copied",
    });
    expect(agent.peer.cas.get(first.result.actionResult?.outputFiles[0]?.digest).toString()).toBe("one");
    const second = await doWork(agent, ["list"], { protocol, inputs: { "sub/other": "two" } });
    expect(second).toMatchObject({
      pid: first.pid,
      done: 1,
      text: "order sub sub/other tool tool/data tool/tool.mjs",
    });
    expect(await doWork(agent, ["fail"], { protocol })).toMatchObject({ exitCode: 3, pid: first.pid, done: 2 });
  });

  it("that crashes or says nonsense does not fail the action: it is run by itself, and the next has a new worker", async () => {
    const agent = await startAgent();
    const { pid } = await doWork(agent, ["list"], { protocol });
    for (const order of ["crash", "garbage"]) {
      const ran = await doWork(agent, [order], { protocol });
      expect(ran).toMatchObject({ outcome: "COMPLETED", exitCode: 0, alone: true });
      const next = await doWork(agent, ["list"], { protocol });
      expect(next).toMatchObject({ done: 0, alone: false });
      expect(next.pid).not.toBe(pid);
    }
  });
});

describe("a persistent worker", () => {
  it("is told its arguments from its files of arguments and its inputs, from its working directory", async () => {
    const agent = await startAgent();
    const options = { workingDirectory: "wd", inputs: { "wd/more": "a\n@@b\n@absent\n", beside: "" } };
    expect((await doWork(agent, ["arguments", "@more", "c d"], options)).text).toBe('["a","@@b","@absent","c d"]');
    expect((await doWork(agent, ["inputs"], options)).text).toBe("../beside more order tool/data tool/tool.mjs");
  });

  it("gets back what it lost of its own files, and what it left is gone", async () => {
    const agent = await startAgent();
    const { pid } = await doWork(agent, ["litter"]);
    expect(await doWork(agent, ["list"])).toMatchObject({ pid, text: "order tool tool/data tool/tool.mjs" });
  });

  it("is not used for an action of another tool, environment or start", async () => {
    const agent = await startAgent();
    const { pid } = await doWork(agent, ["list"]);
    expect((await doWork(agent, ["list"], { startup: ["--other"] })).pid).not.toBe(pid);
    expect((await doWork(agent, ["list"])).pid).toBe(pid);
  });

  it("is not used where no input is marked as the tool's, or none is allowed", async () => {
    const agent = await startAgent();
    const { command, inputs } = work(["list"]);
    const unmarked = Object.entries(inputs ?? {}).map(([path, leaf]) => {
      return [path, typeof leaf === "object" && "executable" in leaf ? leaf.executable : leaf] as const;
    });
    const ran = await runAction(agent, { command, inputs: Object.fromEntries(unmarked) });
    expect(said(ran.stderr).alone).toBe(true);
    expect((await doWork(await startAgent({ maxPersistentWorkers: 0 }), ["list"])).alone).toBe(true);
  });

  it("that dies before it ever answers is not tried again", async () => {
    const agent = await startAgent();
    const counter = join(await temporaryDirectory(), "starts");
    const program = join(dirname(counter), "program");
    await writeFile(program, `#!/bin/sh\necho >> ${counter}\nexec ${process.execPath} "$@"\n`, { mode: 0o755 });
    const { command, inputs } = work(["list"], { startup: ["--dies"] });
    const spec = {
      command: { ...command, arguments: [program, ...(command.arguments ?? []).slice(1)] },
      inputs: inputs ?? {},
    };
    for (const starts of [2, 3]) {
      expect(said((await runAction(agent, spec)).stderr).alone).toBe(true);
      expect(await readFile(counter, "utf8")).toHaveLength(starts);
    }
  });

  it("that does not answer in time is killed with the action's time limit, and replaced", async () => {
    const agent = await startAgent();
    const note = join(await temporaryDirectory(), "note");
    await doWork(agent, ["list"]);
    const ran = await doWork(agent, ["hang", note], { timeoutMs: 1_500 });
    expect(ran).toMatchObject({ outcome: "TIMED_OUT", message: "the command was killed at its time limit of 1.5 s" });
    await waitUntilGone(Number(await readFile(note, "utf8")));
    expect(await doWork(agent, ["list"])).toMatchObject({ outcome: "COMPLETED", alone: false });
  });

  it.each([
    ["goes on if it understands that", { "supports-worker-cancellation": "1" }],
    ["is killed else", {}],
  ])("whose action is cancelled %s", async (_, properties) => {
    const agent = await startAgent();
    const note = join(await temporaryDirectory(), "note");
    const lease = leaseOf(agent.peer, work(["hang", note], { properties }));
    agent.connection.lease(lease);
    const pid = await vi.waitFor(async () => {
      const [, written] = /^(\d+)\n/.exec(await readFile(note, "utf8")) ?? [];
      if (written === undefined) throw new Error("the worker has not noted its process id yet");
      return Number(written);
    }, 10_000);
    agent.connection.send({ case: "cancel", value: { leaseId: lease.leaseId, reason: "not wanted" } });
    expect((await agent.connection.result()).outcome).toBe(Outcome.CANCELLED);
    const next = await doWork(agent, ["list"], { properties });
    if ("supports-worker-cancellation" in properties) {
      expect(next.pid).toBe(pid);
    } else {
      expect(next.pid).not.toBe(pid);
      await waitUntilGone(pid);
    }
  });

  it("is one of a bounded number, and does a bounded number of requests", async () => {
    const agent = await startAgent({
      maxPersistentWorkers: 1,
      limits: { persistentWorkers: { ...DEFAULT_LIMITS.persistentWorkers, maxRequests: 2 } },
    });
    const first = await doWork(agent, ["list"]);
    const other = await doWork(agent, ["list"], { startup: ["--other"] });
    expect(other).toMatchObject({ alone: false });
    await waitUntilGone(first.pid);
    const again = [await doWork(agent, ["list"]), await doWork(agent, ["list"]), await doWork(agent, ["list"])];
    expect(again.map(({ done }) => done)).toEqual([0, 1, 0]);
  });

  it("is ended when it has had nothing to do for long", async () => {
    const idleMs = 1;
    const agent = await startAgent({ limits: { persistentWorkers: { ...DEFAULT_LIMITS.persistentWorkers, idleMs } } });
    await waitUntilGone((await doWork(agent, ["list"])).pid);
  });

  it("goes with the agent that drains", async () => {
    const agent = await startAgent();
    const { pid } = await doWork(agent, ["list"]);
    agent.drain();
    await agent.stopped;
    await waitUntilGone(pid);
  });

  it.skipIf(lackingForSandbox !== undefined)("works in a sandbox, where it sees each request's inputs", async () => {
    const node = dirname(dirname(process.execPath));
    const agent = await startAgent({ sandbox: "bwrap", sandboxPaths: [...DEFAULT_SANDBOX_PATHS, node] });
    const first = await doWork(agent, ["copy", "in", "out"], { inputs: { in: "one" }, outputPaths: ["out"] });
    expect(first).toMatchObject({ exitCode: 0, done: 0, alone: false });
    const second = await doWork(agent, ["list"], { inputs: { in: "two" } });
    expect(second).toMatchObject({ pid: first.pid, done: 1, text: "in order tool tool/data tool/tool.mjs" });
  });
});
