import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { useInstance } from "./instance-fixture.ts";
import type { ScriptedAgent } from "./scripted-agent.ts";

// So short that the tests which wait for them are quick.
const instance = useInstance({ no_worker_timeout_s: 1.5, worker_timeout_s: 1 });

test("no agent that could run it: RESOURCE_EXHAUSTED naming the property, then at once, until one joins (buildfarm#1510)", async () => {
  const wanted = { properties: { OSFamily: "plan9" } };
  await instance.connect("linux", {
    platform: { properties: [{ name: "OSFamily", value: "linux" }] },
  });
  const { status } = await (await instance.execute(wanted)).response();
  expect(status).toMatchObject({ code: Code.ResourceExhausted });
  expect(status?.message).toContain("OSFamily=plan9");
  await expect((await instance.execute(wanted)).done()).rejects.toMatchObject({ code: Code.ResourceExhausted });

  const rare = await instance.connect("plan9", {
    platform: { properties: [{ name: "OSFamily", value: "plan9" }] },
  });
  const stream = await instance.execute(wanted);
  rare.complete((await rare.next("lease")).leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
});

test("an agent that is silent for the worker timeout loses its lease to another (nativelink#1972)", async () => {
  const silent = await instance.connect("silent");
  const stream = await instance.execute();
  const first = await silent.next("lease");
  const other = await instance.connect("heartbeats");
  const beat = beatOf(other);
  const { leaseId } = await other.next("lease");
  expect(leaseId).not.toBe(first.leaseId);
  other.complete(leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { executionMetadata: { worker: "heartbeats" } } });
  clearInterval(beat);
});

test("an agent whose heartbeats the platform answers is not silent", async () => {
  const agent = await instance.connect("beating");
  const stream = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const beat = beatOf(agent);
  // Three worker timeouts long: an object that looked at messages alone would have given it up.
  const { name } = await stream.until(Stage.EXECUTING);
  await instance.clients.operations.waitOperation({ name, timeout: { seconds: 3n, nanos: 0 } });
  clearInterval(beat);
  agent.complete(leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { executionMetadata: { worker: "beating" } } });
  expect(agent.pending("lease")).toBe(0);
});

test("the socket of an agent that was lost is closed, so that it connects again if it lives", async () => {
  const lost = await instance.connect("lost");
  await instance.execute();
  await lost.next("lease");
  const closed = await lost.next("closed");
  const metrics = await (await fetch(`${instance.worker.url}/metrics`, { headers: { connection: "close" } })).text();
  expect(Number(/^remex_agents_lost_total\{.*\} (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
  expect(closed.code).toBe(4003);
  expect(closed.reason).toContain("connect again");
});

function beatOf(agent: ScriptedAgent): NodeJS.Timeout {
  return setInterval(() => {
    agent.sendRaw("ping");
  }, 100);
}
