import { fromBinary } from "@bufbuild/protobuf";
import { expect, test, vi } from "vitest";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { KnownExecutionsSchema, OperationInspectionSchema } from "../../../protos/gen/remex/instance/v1/instance_pb.ts";
import { callMethod } from "../call-method.ts";
import { useInstance } from "./instance-fixture.ts";

const instance = useInstance({ retain_completed_for_s: 0.05 });

const OBJECT = { name: "0/main" };

async function call(method: string, ...args: unknown[]): Promise<unknown> {
  const namespace = await instance.worker.mf.getDurableObjectNamespace("INSTANCE");
  return callMethod(namespace.get(namespace.idFromName(OBJECT.name)), method, ...args);
}

function idOf(operationName: string): string {
  return operationName.slice(operationName.lastIndexOf("/") + 1);
}

async function inspect(operationName: string) {
  const bytes = await call("inspectOperation", idOf(operationName));
  return bytes instanceof Uint8Array ? fromBinary(OperationInspectionSchema, bytes) : undefined;
}

async function build(invocationId: string) {
  const bytes = await call("inspectInvocation", invocationId, 1000);
  if (!(bytes instanceof Uint8Array)) throw new Error("an invocation is always answered");
  return fromBinary(KnownExecutionsSchema, bytes).executions;
}

function pages(): Promise<Record<string, unknown>[]> {
  return instance.worker.mf
    .unsafeGetDurableObjectStorage(LOCAL_WORKER.name, "Instance", OBJECT)
    .then((storage) => storage.exec("SELECT page, length(executions) AS bytes FROM history"));
}

test("an operation is known for longer than clients can ask for it", async () => {
  const agent = await instance.connect("worker");
  const stream = await instance.execute({ invocationId: "build-1", outputPaths: ["out/a.o", "out/b.o"] });
  const { leaseId } = await agent.next("lease");
  const { name } = await stream.until(Stage.EXECUTING);
  await expect(inspect(name)).resolves.toMatchObject({ execution: { record: { lease: { agentName: "worker" } } } });
  agent.complete(leaseId, 3);
  await stream.response();
  await vi.waitFor(() => expect(instance.clients.operations.getOperation({ name })).rejects.toThrow("not known"), {
    timeout: 20_000,
  });
  await expect(inspect(name)).resolves.toMatchObject({
    execution: {
      request: { primaryOutput: "out/a.o", action: new Uint8Array(), command: new Uint8Array() },
      record: { leaseCount: 1, end: { result: { value: { result: { exitCode: 3 } } } } },
    },
  });
  await expect(build("build-1")).resolves.toHaveLength(1);
  await expect(build("build-2")).resolves.toEqual([]);
  await expect(inspect("main/operations/0/00000000-0000-0000-0000-000000000000")).resolves.toBeUndefined();
});

test("many executions share a row", async () => {
  const agent = await instance.connect("worker", { maxActions: 100 });
  const before = (await pages()).length;
  const streams = await Promise.all(Array.from({ length: 70 }, () => instance.execute({ invocationId: "many" })));
  for (let left = streams.length; left > 0; left--) agent.complete((await agent.next("lease")).leaseId);
  await Promise.all(streams.map((stream) => stream.response()));
  await expect(build("many")).resolves.toHaveLength(70);
  await vi.waitFor(
    async () => {
      expect((await pages()).length).toBeGreaterThan(before);
    },
    { timeout: 20_000, interval: 100 },
  );
  expect((await pages()).length - before).toBeLessThanOrEqual(2);
});

test("a queued operation has a reason to wait: its place, or what nobody offers", async () => {
  const agent = await instance.connect("worker", { maxActions: 1 });
  const first = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const waiting = [await instance.execute({ invocationId: "x" }), await instance.execute({ invocationId: "x" })];
  const names = await Promise.all(waiting.map(async (stream) => (await stream.until(Stage.QUEUED)).name));
  const places = await Promise.all(names.map(async (name) => (await inspect(name))?.waiting));
  expect(places).toMatchObject([
    { ahead: 0, active: 1, agents: 1, mismatch: "" },
    { ahead: 1, active: 1, agents: 1, mismatch: "" },
  ]);
  const urgent = await instance.execute({ priority: -1 });
  const { name: urgentName } = await urgent.until(Stage.QUEUED);
  expect((await inspect(urgentName))?.waiting?.ahead).toBe(0);
  expect((await inspect(names[0] ?? ""))?.waiting?.ahead).toBe(1);

  const unmatched = await instance.execute({ properties: { OSFamily: "plan9" } });
  const { name } = await unmatched.until(Stage.QUEUED);
  const reason = (await inspect(name))?.waiting;
  expect(reason).toMatchObject({ agents: 0, mismatch: "no connected agent has the platform property OSFamily=plan9" });
  expect(reason?.refusedAt).toBeDefined();
  await instance.clients.operations.cancelOperation({ name });

  agent.complete(leaseId);
  for (let left = 3; left > 0; left--) agent.complete((await agent.next("lease")).leaseId);
  await Promise.all([first, urgent, ...waiting].map((stream) => stream.response()));
});

async function worn(): Promise<unknown> {
  const agents: unknown = await call("agents");
  return Array.isArray(agents) ? agents.find(({ name }: { name: string }) => name === "worn") : undefined;
}

test("an agent that is drained gets nothing more until it says that it takes work again", async () => {
  const cache = { files: 3n, bytes: 4000n, maxBytes: 5000n };
  const agent = await instance.connect("worn", { version: "1.2.3", cache });
  await expect(worn()).resolves.toMatchObject({
    name: "worn",
    version: "1.2.3",
    draining: false,
    leases: 0,
    cache: { bytes: 4000 },
  });
  await expect(call("requestDrain", "nobody", true)).resolves.toBe(false);
  await expect(call("requestDrain", agent.id, true)).resolves.toBe(true);
  await expect(agent.next("drain")).resolves.toMatchObject({ draining: true });
  await expect(worn()).resolves.toMatchObject({ draining: true });
  const stream = await instance.execute();
  await stream.until(Stage.QUEUED);
  expect(agent.pending("lease")).toBe(0);
  await expect(call("requestDrain", agent.id, false)).resolves.toBe(true);
  await expect(agent.next("drain")).resolves.toMatchObject({ draining: false });
  agent.send({ case: "hello", value: { agentId: agent.id, name: agent.id, maxActions: 1 } });
  const { leaseId } = await agent.next("lease");
  agent.end(leaseId, { outcome: Outcome.COMPLETED, actionResult: {}, cache: { ...cache, bytes: 4500n } });
  await stream.response();
  await expect(worn()).resolves.toMatchObject({ cache: { files: 3, bytes: 4500, maxBytes: 5000 } });
});
