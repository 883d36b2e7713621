import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { useInstance } from "./instance-fixture.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

const instance = useInstance({});

test("an agent is told what actions use up of it, and how it is to be heard of", async () => {
  const agent = await ScriptedAgent.open(instance.worker.url, "told");
  agent.send({ case: "hello", value: { agentId: agent.id, maxActions: 1 } });
  await expect(agent.next("welcome")).resolves.toMatchObject({
    minimumProperties: { names: ["cpu_count"] },
    workerTimeout: { seconds: 60n },
    heartbeatInterval: { seconds: 15n },
    shardCount: 1,
  });
  await agent.close();
});

test("an agent that reconnects keeps its lease", async () => {
  const before = await instance.connect("reconnect");
  const stream = await instance.execute();
  const { leaseId } = await before.next("lease");
  await before.close();
  const after = await instance.connect("reconnect", { leaseIds: [leaseId] });
  after.complete(leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  expect(after.pending("lease")).toBe(0);
});

test("a second socket of an agent takes the place of the first", async () => {
  const before = await instance.connect("replaced");
  const after = await instance.connect("replaced");
  await expect(before.next("closed")).resolves.toMatchObject({ code: 4000 });
  const stream = await instance.execute();
  after.complete((await after.next("lease")).leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
});

test("a lease that never reached its agent is given out again, and a late report of it is ignored (buildbuddy#3470)", async () => {
  const before = await instance.connect("lost-lease");
  const stream = await instance.execute();
  const lost = await before.next("lease");
  await before.close();
  const after = await instance.connect("lost-lease", { leaseIds: [] });
  const { leaseId } = await after.next("lease");
  expect(leaseId).not.toBe(lost.leaseId);
  after.complete(lost.leaseId, 1);
  await expect(after.next("acknowledgement")).resolves.toMatchObject({ leaseId: lost.leaseId });
  after.complete(leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
});

test("an agent that was killed and is started again does not keep its actions waiting", async () => {
  const killed = await instance.connect("killed", { name: "machine" });
  const stream = await instance.execute();
  await killed.next("lease");
  // Its connection is not known to be lost yet.
  const successor = await instance.connect("successor", { name: "machine", replacedAgentIds: ["killed", "unknown"] });
  successor.complete((await successor.next("lease")).leaseId);
  expect((await stream.response()).message).toMatch(
    /^attempt 2, after: agent machine: it was killed and started again\n/,
  );
});

test("an agent of another name is not believed to replace one", async () => {
  const agent = await instance.connect("alive", { name: "machine" });
  const stream = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const stranger = await instance.connect("stranger", { name: "other", replacedAgentIds: ["alive"] });
  agent.complete(leaseId);
  const { message, result } = await stream.response();
  expect(message).toMatch(/^http/);
  expect(result?.exitCode).toBe(0);
  expect(stranger.pending("lease")).toBe(0);
});

test("a lease that the object does not know is cancelled", async () => {
  const agent = await instance.connect("unknown-lease", { leaseIds: ["00000000-0000-0000-0000-000000000000.1"] });
  await expect(agent.next("cancel")).resolves.toMatchObject({ leaseId: "00000000-0000-0000-0000-000000000000.1" });
});

test("an agent's infrastructure failure is tried elsewhere; the client sees nothing of it", async () => {
  const bad = await instance.connect("bad");
  const stream = await instance.execute();
  const lease = await bad.next("lease");
  const good = await instance.connect("good");
  bad.end(lease.leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: 13, message: "disk full" } });
  good.complete((await good.next("lease")).leaseId);
  const { message, result } = await stream.response();
  expect(result?.executionMetadata?.worker).toBe("good");
  expect(message).toMatch(/^attempt 2, after: agent bad: disk full\n/);
});

test("an action that spoils every attempt ends with INTERNAL that says how, and is then refused at once (buildfarm#675)", async () => {
  const agent = await instance.connect("spoiler");
  const options = { salt: "spoiled" };
  const stream = await instance.execute(options);
  for (let attempt = 1; attempt <= 4; attempt++) {
    const { leaseId } = await agent.next("lease");
    agent.end(leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: 13, message: `boom ${attempt}` } });
  }
  const { status } = await stream.response();
  expect(status).toMatchObject({ code: Code.Internal });
  expect(status?.message).toContain("agent spoiler: boom 4");
  const retry = (await instance.execute(options)).done();
  await expect(retry).rejects.toMatchObject({ code: Code.Internal });
  expect(agent.pending("lease")).toBe(0);
});

test("what makes no sense in a report counts against the agent, not the action", async () => {
  const liar = await instance.connect("liar");
  const stream = await instance.execute();
  const first = await liar.next("lease");
  liar.end(first.leaseId, { outcome: Outcome.COMPLETED });
  const second = await liar.next("lease");
  liar.end(second.leaseId, { outcome: Outcome.REFUSED, status: { code: Code.DataLoss, message: "no" } });
  liar.complete((await liar.next("lease")).leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
});

test("an agent that drains gets nothing more, and hands back what it can't finish", async () => {
  const leaving = await instance.connect("leaving");
  const stream = await instance.execute();
  const { leaseId } = await leaving.next("lease");
  leaving.send({ case: "drain", value: {} });
  leaving.end(leaseId, { outcome: Outcome.HANDED_BACK });
  await leaving.next("acknowledgement");
  const staying = await instance.connect("staying");
  staying.complete((await staying.next("lease")).leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  expect(leaving.pending("lease")).toBe(0);
});

test("a message that is none closes that socket and nothing else", async () => {
  const other = await instance.connect("other");
  const bad = await ScriptedAgent.open(instance.worker.url, "malformed");
  bad.sendRaw(new Uint8Array([255, 255, 255]));
  await expect(bad.next("closed")).resolves.toMatchObject({ code: 4001 });
  const silent = await ScriptedAgent.open(instance.worker.url, "no-hello");
  silent.complete("x.1");
  await expect(silent.next("closed")).resolves.toMatchObject({ code: 4001 });
  const unnamed = await ScriptedAgent.open(instance.worker.url, "");
  unnamed.send({ case: "hello", value: { agentId: "" } });
  await expect(unnamed.next("closed")).resolves.toMatchObject({ code: 4001 });
  const stream = await instance.execute();
  other.complete((await other.next("lease")).leaseId);
  await stream.response();
});

test("a lease that crosses with its agent's leave goes to another at once, not after the worker timeout", async () => {
  const leaving = await instance.connect("leaving-for-good");
  const stream = await instance.execute();
  await leaving.next("lease");
  const staying = await instance.connect("staying-on");
  await leaving.leave();
  staying.complete((await staying.next("lease")).leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { executionMetadata: { worker: "staying-on" } } });
});
