import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { INSTANCE } from "../../e2e/clients.ts";
import { ExecutionStream } from "./execution-stream.ts";
import { useInstance } from "./instance-fixture.ts";

const instance = useInstance({});

test("one client's cancel leaves the execution to the others; the last one's stops it", async () => {
  const agent = await instance.connect("cancel");
  const options = { salt: "cancel" };
  const first = await instance.execute(options);
  const second = await instance.execute(options);
  const { leaseId } = await agent.next("lease");
  const { name } = await first.until(Stage.EXECUTING);
  const { name: otherName } = await second.until(Stage.EXECUTING);

  await instance.clients.operations.cancelOperation({ name });
  await expect(first.done()).resolves.toMatchObject({ result: { case: "error", value: { code: Code.Canceled } } });
  expect(agent.pending("cancel")).toBe(0);
  await expect(instance.clients.operations.getOperation({ name })).resolves.toMatchObject({ name, done: true });
  await expect(instance.clients.operations.getOperation({ name: otherName })).resolves.toMatchObject({ done: false });

  await instance.clients.operations.cancelOperation({ name: otherName });
  await expect(second.done()).resolves.toMatchObject({ result: { case: "error", value: { code: Code.Canceled } } });
  await expect(agent.next("cancel")).resolves.toMatchObject({ leaseId });
  agent.end(leaseId, { outcome: Outcome.CANCELLED });
  await expect(agent.next("acknowledgement")).resolves.toMatchObject({ leaseId });
});

test("WaitExecution, GetOperation and WaitOperation find an operation while it runs and after it ended", async () => {
  const agent = await instance.connect("wait");
  const stream = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const { name } = await stream.until(Stage.EXECUTING);
  const waiting = new ExecutionStream(instance.clients.execution.waitExecution({ name }));
  await waiting.until(Stage.EXECUTING);
  const brief = await instance.clients.operations.waitOperation({ name, timeout: { seconds: 0n, nanos: 50_000_000 } });
  expect(brief).toMatchObject({ name, done: false });
  agent.complete(leaseId);
  await expect(waiting.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  await expect(
    new ExecutionStream(instance.clients.execution.waitExecution({ name })).response(),
  ).resolves.toMatchObject({
    result: { exitCode: 0 },
  });
  await expect(instance.clients.operations.getOperation({ name })).resolves.toMatchObject({ name, done: true });
  await expect(instance.clients.operations.waitOperation({ name })).resolves.toMatchObject({ name, done: true });
  const listed = await instance.clients.operations.listOperations({ name: INSTANCE, pageSize: 1000 });
  expect(listed.operations.map((operation) => operation.name)).toContain(name);
});

test("an operation that never was is NOT_FOUND", async () => {
  const names = ["main/operations/0/00000000-0000-0000-0000-000000000000", "nonsense", ""];
  for (const name of names) {
    await expect(instance.clients.operations.getOperation({ name })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(instance.clients.operations.cancelOperation({ name })).rejects.toMatchObject({ code: Code.NotFound });
    const stream = new ExecutionStream(instance.clients.execution.waitExecution({ name }));
    await expect(stream.next()).rejects.toMatchObject({ code: Code.NotFound });
  }
});

test("operations are listed page by page", async () => {
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await instance.clients.operations.listOperations({
      name: `${INSTANCE}/operations`,
      pageSize: 3,
      pageToken,
    });
    seen.push(...page.operations.map(({ name }) => name));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  const all = await instance.clients.operations.listOperations({ name: INSTANCE, pageSize: 1000 });
  expect(seen).toEqual(all.operations.map(({ name }) => name));
  expect(new Set(seen).size).toBe(seen.length);
});

test("a filter picks operations by stage, build and action", async () => {
  const list = async (filter: string) =>
    (await instance.clients.operations.listOperations({ name: INSTANCE, filter, pageSize: 1000 })).operations;
  const agent = await instance.connect("filtered");
  const running = await instance.execute({ invocationId: "build-1", salt: "filtered" });
  const { leaseId, actionDigest } = await agent.next("lease");
  const waiting = await instance.execute({ invocationId: "build-2" });
  const { name: waitingName } = await waiting.until(Stage.QUEUED);
  const { name: runningName } = await running.until(Stage.EXECUTING);
  const names = async (filter: string) => (await list(filter)).map(({ name }) => name);

  await expect(names("stage=EXECUTING")).resolves.toEqual([runningName]);
  await expect(names("stage = QUEUED AND done=false")).resolves.toEqual([waitingName]);
  await expect(names('tool_invocation_id="build-2"')).resolves.toEqual([waitingName]);
  await expect(names(`action_digest=${actionDigest?.hash ?? ""}`)).resolves.toEqual([runningName]);
  expect((await list("done=true")).every(({ done }) => done)).toBe(true);
  await expect(list("colour=red")).rejects.toMatchObject({ code: Code.InvalidArgument });
  agent.complete(leaseId);
  agent.complete((await agent.next("lease")).leaseId);
  await Promise.all([running.response(), waiting.response()]);
});

test("operations that share an execution are each listed under its own build, and stay so when one is cancelled", async () => {
  const list = async (filter: string) => {
    const { operations } = await instance.clients.operations.listOperations({ name: INSTANCE, filter, pageSize: 1000 });
    return operations.map(({ done, name }) => ({ done, name }));
  };
  const agent = await instance.connect("sharing");
  const one = await instance.execute({ invocationId: "shared-1", salt: "sharing" });
  const two = await instance.execute({ invocationId: "shared-2", salt: "sharing" });
  const { leaseId } = await agent.next("lease");
  const [{ name: first }, { name: second }] = [await one.until(Stage.EXECUTING), await two.until(Stage.EXECUTING)];
  expect(await list("tool_invocation_id=shared-1")).toEqual([{ name: first, done: false }]);
  expect(await list("tool_invocation_id=shared-2")).toEqual([{ name: second, done: false }]);
  for (const [stream, name, build] of [
    [two, second, "shared-2"],
    [one, first, "shared-1"],
  ] as const) {
    await instance.clients.operations.cancelOperation({ name });
    await stream.done();
    expect(await list(`tool_invocation_id=${build} AND done=true`)).toEqual([{ name, done: true }]);
  }
  agent.end(leaseId, { outcome: Outcome.CANCELLED });
});

test("DeleteOperation forgets an ended operation, one of a merged pair alone, and refuses a live one", async () => {
  const { operations } = instance.clients;
  const agent = await instance.connect("deleted");
  const pair = [await instance.execute({ salt: "deleted" }), await instance.execute({ salt: "deleted" })];
  const { leaseId } = await agent.next("lease");
  const names = await Promise.all(pair.map(async (stream) => (await stream.until(Stage.EXECUTING)).name));
  const [first = "", second = ""] = names;
  await expect(operations.deleteOperation({ name: first })).rejects.toMatchObject({ code: Code.FailedPrecondition });
  agent.complete(leaseId);
  await Promise.all(pair.map((stream) => stream.response()));

  await operations.deleteOperation({ name: first });
  await expect(operations.getOperation({ name: first })).rejects.toMatchObject({ code: Code.NotFound });
  await expect(operations.deleteOperation({ name: first })).rejects.toMatchObject({ code: Code.NotFound });
  await expect(operations.getOperation({ name: second })).resolves.toMatchObject({ done: true });
  await operations.deleteOperation({ name: second });
  await expect(operations.getOperation({ name: second })).rejects.toMatchObject({ code: Code.NotFound });
});
