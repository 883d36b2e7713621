import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import {
  DigestFunction_Value,
  DigestSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  LeaseProgress_Phase as Phase,
  LeaseResult_Outcome as Outcome,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { leaseOf, shell } from "./leases.ts";
import { runAction } from "./run-action.ts";
import { waitUntilGone } from "./processes.ts";
import { startAgent, temporaryDirectory } from "./running-agent.ts";

const inputs = { file: "content" };
const refusing = (count: number): ConnectError[] =>
  Array<ConnectError>(count).fill(new ConnectError("the store is broken", Code.Internal));

describe("a failure of the machine, or of what it depends on, is not the action's", () => {
  it("when inputs can't be read", async () => {
    const agent = await startAgent();
    agent.peer.cas.failures.set("batchRead", refusing(1));
    const ran = await runAction(agent, { inputs, command: shell("true") });
    expect(ran.outcome).toBe("INFRASTRUCTURE_FAILURE");
    expect(ran.message).toContain("setting up the inputs: ");
    expect(ran.message).toContain("the store is broken");
  });

  it("when inputs don't come in time", async () => {
    const agent = await startAgent({ limits: { inputFetchTimeoutMs: 50 } });
    agent.peer.cas.gate = new Promise(() => undefined);
    const ran = await runAction(agent, { inputs, command: shell("true") });
    expect(ran).toMatchObject({
      outcome: "INFRASTRUCTURE_FAILURE",
      message: "setting up the inputs: took longer than 0.05 s",
    });
  });

  it("when outputs can't be stored, or not in time (nativelink#2403)", async () => {
    const agent = await startAgent({ limits: { outputUploadTimeoutMs: 200 } });
    agent.peer.cas.failures.set("batchUpdate", refusing(1));
    const broken = await runAction(agent, { command: shell("echo 1") });
    expect(broken.outcome).toBe("INFRASTRUCTURE_FAILURE");
    expect(broken.message).toContain("storing the outputs: ");
    agent.peer.cas.gate = new Promise(() => undefined);
    const stuck = await runAction(agent, { command: shell("echo 2") });
    expect(stuck).toMatchObject({ outcome: "INFRASTRUCTURE_FAILURE" });
    expect(stuck.message).toContain("took longer than 0.2 s");
  });

  it("when the runner is lost", async () => {
    const agent = await startAgent();
    const pidFile = join(await temporaryDirectory(), "pid");
    const ran = await runAction(agent, { command: shell(`echo $$ > ${pidFile}; kill -9 $PPID; sleep 300`) });
    if (process.platform === "linux") await waitUntilGone(Number(await readFile(pidFile, "utf8")));
    expect(ran.outcome).toBe("INFRASTRUCTURE_FAILURE");
    expect(ran.message).toContain("running the command: the runner process ended");
    expect(await runAction(agent, { command: shell("true") })).toMatchObject({ exitCode: 0 });
  });

  it("when the lease is for another instance", async () => {
    const { peer, connection } = await startAgent();
    connection.lease({ ...leaseOf(peer, { command: shell("true") }), instanceName: "other" });
    const { outcome, status } = await connection.result();
    expect(outcome).toBe(Outcome.INFRASTRUCTURE_FAILURE);
    expect(status?.message).toContain('of instance "other", the agent of "main"');
  });
});

it("that a command timed out is told even if its outputs can't be stored", async () => {
  const agent = await startAgent();
  agent.peer.cas.failures.set("batchUpdate", refusing(1));
  const ran = await runAction(agent, { command: shell("echo begun; sleep 300"), timeoutMs: 100 });
  expect(ran).toMatchObject({ outcome: "TIMED_OUT", exitCode: 137, stdout: "" });
});

it("a second attempt meets nothing of the first, though that is still there (nativelink#1934)", async () => {
  const { peer, connection, workDirectory } = await startAgent();
  const end = join(await temporaryDirectory(), "end");
  const command = shell(`ls . d; touch left d/left; until [ -e ${end} ]; do sleep 0.05; done`, {
    outputPaths: ["left"],
  });
  const lease = leaseOf(peer, { inputs: { "d/input": "of both attempts" }, command });
  const attemptsBegun = async () =>
    (await readdir(workDirectory, { recursive: true })).filter((path) => path.endsWith("d/left")).length;
  connection.lease(lease);
  await expect.poll(attemptsBegun).toBe(1);
  connection.lease({ ...lease, leaseId: "again", attempt: 2 });
  await expect.poll(attemptsBegun).toBe(2);
  await writeFile(end, "");
  for (const { outcome, actionResult } of [await connection.result(), await connection.result()]) {
    expect(outcome).toBe(Outcome.COMPLETED);
    expect(peer.cas.get(actionResult?.stdoutDigest).toString()).toBe(".:\nd\n\nd:\ninput\n");
  }
});

it("an action is cancelled while its inputs are fetched, and another one that waits for the same goes on", async () => {
  const { peer, connection } = await startAgent();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  peer.cas.gate = promise.then();
  const lease = leaseOf(peer, { inputs, command: shell("cat file") });
  connection.lease({ ...lease, leaseId: "first" });
  await connection.progress(Phase.FETCHING_INPUTS);
  connection.lease({ ...lease, leaseId: "second" });
  await connection.progress(Phase.FETCHING_INPUTS);
  connection.send({ case: "cancel", value: { leaseId: "first" } });
  const cancelled = await connection.result();
  expect([cancelled.leaseId, cancelled.outcome]).toEqual(["first", Outcome.CANCELLED]);
  resolve(undefined);
  const second = await connection.result();
  expect([second.leaseId, second.outcome]).toEqual(["second", Outcome.COMPLETED]);
});

it("an action that is malformed is refused", async () => {
  const { peer, connection } = await startAgent();
  const lease = leaseOf(peer, { command: shell("true") });
  const text = Buffer.from("no message at all");
  for (const [changed, message] of [
    [{ ...lease, action: text }, "is not an Action message"],
    [{ ...lease, command: text }, "is not a Command message"],
    [{ ...lease, actionDigest: create(DigestSchema, { hash: "xyz" }) }, "is not 64 lower-case hex digits"],
    [{ ...lease, digestFunction: DigestFunction_Value.VSO }, "digest function VSO is not accepted"],
  ] as const) {
    connection.lease({ ...changed, leaseId: message });
    const { outcome, status } = await connection.result();
    expect({ outcome, code: status?.code }).toEqual({ outcome: Outcome.REFUSED, code: Code.InvalidArgument });
    expect(status?.message).toContain(message);
  }
});
