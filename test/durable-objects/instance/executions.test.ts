import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  ExecuteOperationMetadataSchema,
  ExecutionStage_Value as Stage,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Operation } from "../../../protos/gen/google/longrunning/operations_pb.ts";
import { PreconditionFailureSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { ExecutionStream, stageOf } from "./execution-stream.ts";
import { blobOf, prepareAction } from "../../e2e/action.ts";
import { upload } from "../../e2e/clients.ts";
import { type ExecuteOptions, SHORT_STAY_MS, useInstance } from "./instance-fixture.ts";

const instance = useInstance({});

test("shows an execution's stages, and serves its result from the cache the next time", async () => {
  const options = { salt: "stages" };
  const stream = await instance.execute(options);
  expect(stageOf(await stream.next())).toBe(Stage.CACHE_CHECK);
  expect(stageOf(await stream.next())).toBe(Stage.QUEUED);
  const agent = await instance.connect("stages");
  const lease = await agent.next("lease");
  const executing = await stream.until(Stage.EXECUTING);
  expect(executing.name).toMatch(/^main\/operations\/0\/[0-9a-f-]{36}$/);
  agent.complete(lease.leaseId);
  const response = await stream.response();
  expect(response).toMatchObject({
    cachedResult: false,
    result: { exitCode: 0, executionMetadata: { worker: "stages" } },
  });
  expect(response.result?.executionMetadata?.queuedTimestamp).toBeDefined();
  await expect(agent.next("acknowledgement")).resolves.toMatchObject({ leaseId: lease.leaseId });

  const again = await (await instance.execute(options)).response();
  expect(again).toMatchObject({ cachedResult: true, result: { exitCode: 0 } });
  expect(agent.pending("lease")).toBe(0);
});

test("a result with a non-zero exit code is a result, and is not cached", async () => {
  const agent = await instance.connect("non-zero");
  const options = { salt: "non-zero" };
  for (let run = 1; run <= 2; run++) {
    const stream = await instance.execute(options);
    agent.complete((await agent.next("lease")).leaseId, 3);
    await expect(stream.response()).resolves.toMatchObject({ cachedResult: false, result: { exitCode: 3 } });
  }
});

test("each of those that share an execution gets inlined what it asked for itself", async () => {
  const agent = await instance.connect("inliner");
  const [small, other, said] = [blobOf("the small one"), blobOf("the other one"), blobOf("said much")];
  await upload(instance.clients, [small, other, said]);
  const run = (inline: ExecuteOptions["inline"] = {}) => instance.execute({ salt: "inline", inline });
  const streams = [
    await run({ inlineOutputFiles: ["small"] }),
    await run({ inlineOutputFiles: ["other"], inlineStdout: true }),
    await run(),
  ];
  const { leaseId } = await agent.next("lease");
  for (const stream of streams) await stream.until(Stage.EXECUTING);
  agent.end(leaseId, {
    outcome: Outcome.COMPLETED,
    actionResult: {
      stdoutDigest: said.digest,
      outputFiles: [
        { path: "small", digest: small.digest },
        { path: "other", digest: other.digest },
      ],
    },
  });
  const inlined = await Promise.all(
    streams.map(async (stream) => {
      const { result } = await stream.response();
      const bytes = [result?.stdoutRaw, ...(result?.outputFiles ?? []).map(({ contents }) => contents)];
      return bytes.map((each) => Buffer.from(each ?? []).toString());
    }),
  );
  expect(inlined).toEqual([
    ["", "the small one", ""],
    ["said much", "", "the other one"],
    ["", "", ""],
  ]);
});

test("updates and ends say what is known of the execution so far", async () => {
  const about = ({ metadata }: Operation) =>
    (metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema))?.partialExecutionMetadata;
  const stream = await instance.execute();
  const queued = about(await stream.until(Stage.QUEUED));
  expect(queued?.queuedTimestamp).toBeDefined();
  const agent = await instance.connect("informer");
  const { leaseId } = await agent.next("lease");
  expect(about(await stream.until(Stage.EXECUTING))).toMatchObject({ ...queued, worker: "informer" });
  agent.complete(leaseId);
  expect(about(await stream.done())).toMatchObject({ queuedTimestamp: queued?.queuedTimestamp, worker: "informer" });

  const cancelled = await instance.execute();
  const { name } = await cancelled.until(Stage.EXECUTING);
  await instance.clients.operations.cancelOperation({ name });
  const end = await cancelled.done();
  expect(end.result.case).toBe("error");
  expect(about(end)).toMatchObject({ worker: "informer" });
  expect(about(end)?.queuedTimestamp).toBeDefined();
  expect(about(await instance.clients.operations.getOperation({ name }))).toEqual(about(end));
});

test("a result is cached with the priority that its results_cache_policy gives it", async () => {
  const agent = await instance.connect("cache-priority");
  const priorities: number[] = [];
  for (const cachePriority of [undefined, -5, 2 ** 31 - 1]) {
    const stream = await instance.execute(cachePriority === undefined ? {} : { cachePriority });
    agent.complete((await agent.next("lease")).leaseId);
    await stream.response();
    const query = "SELECT priority FROM action_results ORDER BY last_access_ms DESC LIMIT 1";
    const [row] = await instance.worker.shardSql(0, query);
    priorities.push(Number(row?.["priority"]));
  }
  expect(priorities).toEqual([0, -5, 2 ** 31 - 1]);
});

test("an action with do_not_cache is not cached and not merged", async () => {
  const agent = await instance.connect("uncached", { maxActions: 2 });
  const options = { salt: "uncached", doNotCache: true };
  const streams = [await instance.execute(options), await instance.execute(options)];
  const leases = [await agent.next("lease"), await agent.next("lease")];
  for (const { leaseId } of leases) agent.complete(leaseId);
  for (const stream of streams) await expect(stream.response()).resolves.toMatchObject({ cachedResult: false });
  const third = await instance.execute(options);
  agent.complete((await agent.next("lease")).leaseId);
  await expect(third.response()).resolves.toMatchObject({ cachedResult: false });
});

test("identical actions in flight share one execution under two names", async () => {
  const agent = await instance.connect("merge");
  const options = { salt: "merge" };
  const first = await instance.execute(options);
  const second = await instance.execute(options);
  const { leaseId } = await agent.next("lease");
  const names = [(await first.until(Stage.EXECUTING)).name, (await second.until(Stage.EXECUTING)).name];
  expect(new Set(names).size).toBe(2);
  agent.complete(leaseId);
  await expect(first.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  await expect(second.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  expect(agent.pending("lease")).toBe(0);
});

test("who shares an execution keeps it when the client that began it and the agent that ran it are lost (buildfarm#2072)", async () => {
  const agent = await instance.connect("shared-loser");
  const beginner = await instance.execute({ salt: "shared", stayMs: SHORT_STAY_MS });
  const { leaseId } = await agent.next("lease");
  await beginner.until(Stage.EXECUTING);
  const other = await instance.execute({ salt: "shared" });
  await other.until(Stage.EXECUTING);
  await expect(beginner.done()).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  agent.end(leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: Code.Internal, message: "burnt" } });
  agent.complete((await agent.next("lease")).leaseId);
  await expect(other.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
});

test("a client that is cut off and comes back finds its action running (bazel#19496, nativelink#1863)", async () => {
  const agent = await instance.connect("patient");
  const cut = await instance.execute({ stayMs: SHORT_STAY_MS });
  const { leaseId } = await agent.next("lease");
  const { name } = await cut.until(Stage.EXECUTING);
  await expect(cut.done()).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  const back = new ExecutionStream(instance.clients.execution.waitExecution({ name }));
  await back.until(Stage.EXECUTING);
  agent.complete(leaseId);
  await expect(back.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  expect([agent.pending("cancel"), agent.pending("lease")]).toEqual([0, 0]);
});

test("missing inputs reach the client with the agent's PreconditionFailure", async () => {
  const agent = await instance.connect("missing");
  const stream = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const detail = { $typeName: PreconditionFailureSchema.typeName, violations: [] };
  agent.end(leaseId, {
    outcome: Outcome.REFUSED,
    status: {
      code: Code.FailedPrecondition,
      message: "gone",
      details: [{ typeUrl: `type.googleapis.com/${detail.$typeName}`, value: new Uint8Array() }],
    },
  });
  const { status } = await stream.response();
  expect(status).toMatchObject({ code: Code.FailedPrecondition, message: "gone" });
  expect(status?.details.map((any) => anyUnpack(any, PreconditionFailureSchema))).toHaveLength(1);
});

test("an action past its time limit ends with DEADLINE_EXCEEDED and what it had done", async () => {
  const agent = await instance.connect("slow");
  const stream = await instance.execute({ timeout: { seconds: 2n, nanos: 0 } });
  const lease = await agent.next("lease");
  expect(lease.timeout).toMatchObject({ seconds: 2n });
  agent.end(lease.leaseId, {
    outcome: Outcome.TIMED_OUT,
    actionResult: { exitCode: 137, stdoutRaw: new Uint8Array([65]) },
  });
  await expect(stream.response()).resolves.toMatchObject({
    status: { code: Code.DeadlineExceeded },
    result: { exitCode: 137 },
  });
});

test("minimum properties are used up by what runs", async () => {
  const agent = await instance.connect("cpus", {
    maxActions: 0,
    platform: { properties: [{ name: "cpu_count", value: "3" }] },
  });
  const streams = [];
  for (let n = 0; n < 2; n++) streams.push(await instance.execute({ properties: { cpu_count: "2" } }));
  const first = await agent.next("lease");
  expect(agent.pending("lease")).toBe(0);
  agent.complete(first.leaseId);
  agent.complete((await agent.next("lease")).leaseId);
  for (const stream of streams) await stream.response();
});

test("a bad platform property is INVALID_ARGUMENT that names it", async () => {
  const stream = await instance.execute({ properties: { cpu_count: "many" } });
  await expect(stream.done()).rejects.toThrow(/^\[invalid_argument\] .*"cpu_count"/);
});

test("the smaller of Action.timeout and execution_policy.timeout is the limit, else the scheduler's default", async () => {
  const agent = await instance.connect("limits");
  const second = (seconds: bigint) => ({ seconds, nanos: 0 });
  const cases = [
    { options: { timeout: second(7n), policyTimeout: second(5n) }, limit: 5n },
    { options: { timeout: second(7n), policyTimeout: second(9n) }, limit: 7n },
    { options: { policyTimeout: second(9n) }, limit: 9n },
    { options: {}, limit: 1200n },
  ];
  for (const { options, limit } of cases) {
    const stream = await instance.execute(options);
    const { leaseId, timeout } = await agent.next("lease");
    expect(timeout).toMatchObject({ seconds: limit, nanos: 0 });
    agent.complete(leaseId);
    await stream.response();
  }
});

test("a time limit above the scheduler's is INVALID_ARGUMENT that names both", async () => {
  const over = { seconds: 3601n, nanos: 0 };
  await expect((await instance.execute({ timeout: over })).done()).rejects.toThrow(
    /Action\.timeout is 3601 s.* 3600 s/,
  );
  const stream = await instance.execute({ policyTimeout: over });
  await expect(stream.done()).rejects.toThrow(/^\[invalid_argument\] execution_policy\.timeout is 3601 s/);
});

test("a lower priority value runs first", async () => {
  const agent = await instance.connect("priorities");
  const streams = [await instance.execute()];
  let { leaseId } = await agent.next("lease");
  const actions = [5, -2_000_000_000, 0].map((priority) => ({ priority, salt: `priority ${priority}` }));
  for (const options of actions) {
    const stream = await instance.execute(options);
    await stream.until(Stage.QUEUED);
    streams.push(stream);
  }
  const ran: string[] = [];
  for (let n = 0; n < actions.length; n++) {
    agent.complete(leaseId);
    const lease = await agent.next("lease");
    leaseId = lease.leaseId;
    ran.push(lease.actionDigest?.hash ?? "");
  }
  agent.complete(leaseId);
  const byPriority = [-2_000_000_000, 0, 5].map(
    (priority) => prepareAction({ script: "true", salt: `priority ${priority}` }).digest.hash,
  );
  expect(ran).toEqual(byPriority);
  await Promise.all(streams.map((stream) => stream.response()));
});
