import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import {
  ExecuteOperationMetadataSchema,
  ExecutionStage_Value as Stage,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { PreconditionFailureSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { LeaseResult_Outcome as Outcome, OutputRequest_Stream } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { type ActionOptions, blobOf, prepareAction } from "../../e2e/action.ts";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { type Clients, clientsOver, INSTANCE, upload } from "../../e2e/clients.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { ExecutionStream, stageOf } from "./execution-stream.ts";
import { ScriptedAgent } from "./scripted-agent.ts";
import { TextStream } from "./text-stream.ts";

/** Timeouts so short that the tests which wait for them are quick, and so long that the others never meet them. */
function config(scheduler: Record<string, unknown>): string {
  return JSON.stringify({
    stores: { S: {} },
    schedulers: { M: { supported_platform_properties: { cpu_count: "minimum" }, ...scheduler } },
    services: { execution: [{ instance_name: INSTANCE, scheduler: "M", cas_store: "S" }] },
  });
}

const histogramSchema = z.object({ counts: z.array(z.number()) });

const metricsSchema = z.object({
  now: z.object({ agents: z.unknown(), groups: z.array(z.unknown()) }),
  totals: z.object({ queued: z.number(), completed: z.number() }),
  queueDuration: histogramSchema,
  executionDuration: histogramSchema,
});

/** Miniflare's stubs don't know the object's class. */
async function callMethod(stub: object, name: string): Promise<unknown> {
  const method: unknown = Reflect.get(stub, name);
  if (typeof method !== "function") throw new Error(`the object has no method ${name}`);
  const result: unknown = await Reflect.apply(method, stub, []);
  return result;
}

let salt = 0;

/** Uploads a new action and executes it. */
async function execute(
  clients: Clients,
  options: Partial<ActionOptions> & { skipCacheLookup?: boolean; priority?: number } = {},
): Promise<ExecutionStream> {
  const { skipCacheLookup = false, priority = 0, ...rest } = options;
  const action = prepareAction({ script: "true", salt: String(salt++), ...rest });
  await upload(clients, action.blobs);
  const executionPolicy = { priority };
  return new ExecutionStream(
    clients.execution.execute({
      instanceName: INSTANCE,
      actionDigest: action.digest,
      skipCacheLookup,
      executionPolicy,
    }),
  );
}

function clientsOf({ url }: { readonly url: string }): Clients {
  return clientsOver(createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }));
}

describe("the Instance object", () => {
  let worker: TestWorker;
  let clients: Clients;
  const agents: ScriptedAgent[] = [];

  async function connect(...args: Parameters<typeof ScriptedAgent.connect> extends [string, ...infer R] ? R : never) {
    const agent = await ScriptedAgent.connect(worker.url, ...args);
    agents.push(agent);
    return agent;
  }

  beforeAll(async () => {
    worker = await startWorker({ config: config({}) });
    clients = clientsOf(worker);
  });
  afterEach(async () => {
    await Promise.all(agents.splice(0).map((agent) => agent.close()));
  });
  afterAll(() => worker.dispose());

  test("shows an execution's stages, and serves its result from the cache the next time", async () => {
    const options = { salt: "stages" };
    const stream = await execute(clients, options);
    expect(stageOf(await stream.next())).toBe(Stage.CACHE_CHECK);
    expect(stageOf(await stream.next())).toBe(Stage.QUEUED);
    const agent = await connect("stages");
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

    const again = await (await execute(clients, options)).response();
    expect(again).toMatchObject({ cachedResult: true, result: { exitCode: 0 } });
    expect(agent.pending("lease")).toBe(0);
  });

  test("a result with a non-zero exit code is a result, and is not cached", async () => {
    const agent = await connect("non-zero");
    const options = { salt: "non-zero" };
    for (let run = 1; run <= 2; run++) {
      const stream = await execute(clients, options);
      agent.complete((await agent.next("lease")).leaseId, 3);
      await expect(stream.response()).resolves.toMatchObject({ cachedResult: false, result: { exitCode: 3 } });
    }
  });

  test("an action with do_not_cache is not cached and not merged", async () => {
    const agent = await connect("uncached", { maxActions: 2 });
    const options = { salt: "uncached", doNotCache: true };
    const streams = [await execute(clients, options), await execute(clients, options)];
    const leases = [await agent.next("lease"), await agent.next("lease")];
    for (const { leaseId } of leases) agent.complete(leaseId);
    for (const stream of streams) await expect(stream.response()).resolves.toMatchObject({ cachedResult: false });
    const third = await execute(clients, options);
    agent.complete((await agent.next("lease")).leaseId);
    await expect(third.response()).resolves.toMatchObject({ cachedResult: false });
  });

  test("identical actions in flight share one execution under two names", async () => {
    const agent = await connect("merge");
    const options = { salt: "merge" };
    const first = await execute(clients, options);
    const second = await execute(clients, options);
    const { leaseId } = await agent.next("lease");
    const names = [(await first.until(Stage.EXECUTING)).name, (await second.until(Stage.EXECUTING)).name];
    expect(new Set(names).size).toBe(2);
    agent.complete(leaseId);
    await expect(first.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    await expect(second.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    expect(agent.pending("lease")).toBe(0);
  });

  test("one client's cancel leaves the execution to the others; the last one's stops it", async () => {
    const agent = await connect("cancel");
    const options = { salt: "cancel" };
    const first = await execute(clients, options);
    const second = await execute(clients, options);
    const { leaseId } = await agent.next("lease");
    const { name } = await first.until(Stage.EXECUTING);
    const { name: otherName } = await second.until(Stage.EXECUTING);

    await clients.operations.cancelOperation({ name });
    await expect(first.done()).resolves.toMatchObject({ result: { case: "error", value: { code: Code.Canceled } } });
    expect(agent.pending("cancel")).toBe(0);
    await expect(clients.operations.getOperation({ name })).resolves.toMatchObject({ name, done: true });
    await expect(clients.operations.getOperation({ name: otherName })).resolves.toMatchObject({ done: false });

    await clients.operations.cancelOperation({ name: otherName });
    await expect(second.done()).resolves.toMatchObject({ result: { case: "error", value: { code: Code.Canceled } } });
    await expect(agent.next("cancel")).resolves.toMatchObject({ leaseId });
    agent.end(leaseId, { outcome: Outcome.CANCELLED });
    await expect(agent.next("acknowledgement")).resolves.toMatchObject({ leaseId });
  });

  test("an agent that reconnects keeps its lease (nativelink#1934)", async () => {
    const before = await connect("reconnect");
    const stream = await execute(clients);
    const { leaseId } = await before.next("lease");
    await before.close();
    const after = await connect("reconnect", { leaseIds: [leaseId] });
    after.complete(leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    expect(after.pending("lease")).toBe(0);
  });

  test("a second socket of an agent takes the place of the first", async () => {
    const before = await connect("replaced");
    const after = await connect("replaced");
    await expect(before.next("closed")).resolves.toMatchObject({ code: 4000 });
    const stream = await execute(clients);
    after.complete((await after.next("lease")).leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  });

  test("a lease that never reached its agent is given out again, and a late report of it is ignored", async () => {
    const before = await connect("lost-lease");
    const stream = await execute(clients);
    const lost = await before.next("lease");
    await before.close();
    const after = await connect("lost-lease", { leaseIds: [] });
    const { leaseId } = await after.next("lease");
    expect(leaseId).not.toBe(lost.leaseId);
    after.complete(lost.leaseId, 1);
    await expect(after.next("acknowledgement")).resolves.toMatchObject({ leaseId: lost.leaseId });
    after.complete(leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  });

  test("a lease that the object does not know is cancelled", async () => {
    const agent = await connect("unknown-lease", { leaseIds: ["00000000-0000-0000-0000-000000000000.1"] });
    await expect(agent.next("cancel")).resolves.toMatchObject({ leaseId: "00000000-0000-0000-0000-000000000000.1" });
  });

  test("an agent's infrastructure failure is tried elsewhere; the client sees nothing of it", async () => {
    const bad = await connect("bad");
    const stream = await execute(clients);
    const lease = await bad.next("lease");
    const good = await connect("good");
    bad.end(lease.leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: 13, message: "disk full" } });
    good.complete((await good.next("lease")).leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { executionMetadata: { worker: "good" } } });
  });

  test("an action that spoils every attempt ends with INTERNAL that says how, and is then refused at once (buildfarm#675)", async () => {
    const agent = await connect("spoiler");
    const options = { salt: "spoiled" };
    const stream = await execute(clients, options);
    for (let attempt = 1; attempt <= 4; attempt++) {
      const { leaseId } = await agent.next("lease");
      agent.end(leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: 13, message: `boom ${attempt}` } });
    }
    const { status } = await stream.response();
    expect(status).toMatchObject({ code: Code.Internal });
    expect(status?.message).toContain("agent spoiler: boom 4");
    const retry = (await execute(clients, options)).done();
    await expect(retry).rejects.toMatchObject({ code: Code.Internal });
    expect(agent.pending("lease")).toBe(0);
  });

  test("missing inputs reach the client with the agent's PreconditionFailure", async () => {
    const agent = await connect("missing");
    const stream = await execute(clients);
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
    const agent = await connect("slow");
    const stream = await execute(clients, { timeout: { seconds: 2n, nanos: 0 } });
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

  test("what makes no sense in a report counts against the agent, not the action", async () => {
    const liar = await connect("liar");
    const stream = await execute(clients);
    const first = await liar.next("lease");
    liar.end(first.leaseId, { outcome: Outcome.COMPLETED });
    const second = await liar.next("lease");
    liar.end(second.leaseId, { outcome: Outcome.REFUSED, status: { code: Code.DataLoss, message: "no" } });
    liar.complete((await liar.next("lease")).leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
  });

  test("minimum properties are used up by what runs", async () => {
    const agent = await connect("cpus", {
      maxActions: 0,
      platform: { properties: [{ name: "cpu_count", value: "3" }] },
    });
    const streams = [];
    for (let n = 0; n < 2; n++) streams.push(await execute(clients, { properties: { cpu_count: "2" } }));
    const first = await agent.next("lease");
    expect(agent.pending("lease")).toBe(0);
    agent.complete(first.leaseId);
    agent.complete((await agent.next("lease")).leaseId);
    for (const stream of streams) await stream.response();
  });

  test("a bad platform property is INVALID_ARGUMENT that names it", async () => {
    const stream = await execute(clients, { properties: { cpu_count: "many" } });
    await expect(stream.done()).rejects.toThrow(/^\[invalid_argument\] .*"cpu_count"/);
  });

  test("an agent that drains gets nothing more, and hands back what it can't finish", async () => {
    const leaving = await connect("leaving");
    const stream = await execute(clients);
    const { leaseId } = await leaving.next("lease");
    leaving.send({ case: "drain", value: {} });
    leaving.end(leaseId, { outcome: Outcome.HANDED_BACK });
    await leaving.next("acknowledgement");
    const staying = await connect("staying");
    staying.complete((await staying.next("lease")).leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    expect(leaving.pending("lease")).toBe(0);
  });

  test("a message that is none closes that socket and nothing else", async () => {
    const other = await connect("other");
    const bad = await ScriptedAgent.open(worker.url, "malformed");
    bad.sendRaw(new Uint8Array([255, 255, 255]));
    await expect(bad.next("closed")).resolves.toMatchObject({ code: 4001 });
    const silent = await ScriptedAgent.open(worker.url, "no-hello");
    silent.complete("x.1");
    await expect(silent.next("closed")).resolves.toMatchObject({ code: 4001 });
    const unnamed = await ScriptedAgent.open(worker.url, "");
    unnamed.send({ case: "hello", value: { agentId: "" } });
    await expect(unnamed.next("closed")).resolves.toMatchObject({ code: 4001 });
    const stream = await execute(clients);
    other.complete((await other.next("lease")).leaseId);
    await stream.response();
  });

  test("WaitExecution, GetOperation and WaitOperation find an operation while it runs and after it ended", async () => {
    const agent = await connect("wait");
    const stream = await execute(clients);
    const { leaseId } = await agent.next("lease");
    const { name } = await stream.until(Stage.EXECUTING);
    const waiting = new ExecutionStream(clients.execution.waitExecution({ name }));
    await waiting.until(Stage.EXECUTING);
    const brief = await clients.operations.waitOperation({ name, timeout: { seconds: 0n, nanos: 50_000_000 } });
    expect(brief).toMatchObject({ name, done: false });
    agent.complete(leaseId);
    await expect(waiting.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    await expect(new ExecutionStream(clients.execution.waitExecution({ name })).response()).resolves.toMatchObject({
      result: { exitCode: 0 },
    });
    await expect(clients.operations.getOperation({ name })).resolves.toMatchObject({ name, done: true });
    await expect(clients.operations.waitOperation({ name })).resolves.toMatchObject({ name, done: true });
    const listed = await clients.operations.listOperations({ name: INSTANCE, pageSize: 1000 });
    expect(listed.operations.map((operation) => operation.name)).toContain(name);
  });

  test("an operation that never was is NOT_FOUND", async () => {
    const names = ["main/operations/0/00000000-0000-0000-0000-000000000000", "nonsense", ""];
    for (const name of names) {
      await expect(clients.operations.getOperation({ name })).rejects.toMatchObject({ code: Code.NotFound });
      await expect(clients.operations.cancelOperation({ name })).rejects.toMatchObject({ code: Code.NotFound });
      const stream = new ExecutionStream(clients.execution.waitExecution({ name }));
      await expect(stream.next()).rejects.toMatchObject({ code: Code.NotFound });
    }
  });

  test("a running action's output is read as it is written, and its rest from the result", async () => {
    const agent = await connect("chatty");
    const stream = await execute(clients);
    const { leaseId } = await agent.next("lease");
    const { metadata, name } = await stream.until(Stage.EXECUTING);
    const names = metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema);
    expect(names).toMatchObject({ stdoutStreamName: `${name}/stdout`, stderrStreamName: `${name}/stderr` });
    const output = new TextStream(clients.byteStream.read({ resourceName: `${name}/stdout` }));
    const first = output.next();
    const request = await agent.next("outputRequest");
    expect(request).toMatchObject({ leaseId, stream: OutputRequest_Stream.STDOUT, offset: 0n });
    agent.answer(request, "one ");
    // An answer that comes twice, as one to a repeated request may, is read once.
    agent.answer(request, "one ");
    await expect(first).resolves.toBe("one ");
    const second = output.next();
    const more = await agent.next("outputRequest");
    expect(more.offset).toBe(4n);
    agent.answer(more, "two ");
    await expect(second).resolves.toBe("two ");

    const rest = output.rest();
    agent.answer(await agent.next("outputRequest"), "");
    const stdout = blobOf("one two three");
    await upload(clients, [stdout]);
    agent.end(leaseId, { outcome: Outcome.COMPLETED, actionResult: { stdoutDigest: stdout.digest } });
    await expect(rest).resolves.toBe("three");
    await stream.response();
    await expect(
      new TextStream(clients.byteStream.read({ resourceName: `${name}/stdout`, readOffset: 4n })).rest(),
    ).resolves.toBe("two three");
    await expect(new TextStream(clients.byteStream.read({ resourceName: `${name}/stderr` })).rest()).resolves.toBe("");
    expect(agent.pending("outputRequest")).toBe(0);
  });

  test("a reader of an attempt that is lost is told so", async () => {
    const agent = await connect("chatty-loser");
    const stream = await execute(clients);
    const { leaseId } = await agent.next("lease");
    const { name } = await stream.until(Stage.EXECUTING);
    const output = new TextStream(clients.byteStream.read({ resourceName: `${name}/stderr` }));
    const lost = output.rest();
    await agent.next("outputRequest");
    agent.end(leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: 13, message: "oops" } });
    await expect(lost).rejects.toMatchObject({ code: Code.Unavailable });
    agent.complete((await agent.next("lease")).leaseId);
    await stream.response();
    const unknown = `main/operations/0/00000000-0000-0000-0000-000000000000/stdout`;
    await expect(new TextStream(clients.byteStream.read({ resourceName: unknown })).rest()).rejects.toMatchObject({
      code: Code.NotFound,
    });
  });

  test("the metrics say what waits, what runs, who is there and what has been", async () => {
    const namespace = await worker.mf.getDurableObjectNamespace("INSTANCE", LOCAL_WORKER.name);
    const instance = namespace.get(namespace.idFromName("0/main"));
    const metrics = async () => metricsSchema.parse(await callMethod(instance, "metrics"));
    const before = await metrics();
    const agent = await connect("measured");
    const running = await execute(clients, { properties: { cpu_count: "0" } });
    const { leaseId } = await agent.next("lease");
    const waiting = await execute(clients, { properties: { cpu_count: "0" } });
    await waiting.until(Stage.QUEUED);
    const during = await metrics();
    expect(during.now.agents).toEqual({ connected: 1, draining: 0, missing: 0, leases: 1, freeSlots: 0 });
    expect(during.now.groups).toMatchObject([{ queued: 1, active: 1, agents: 1 }]);
    expect(during.totals.queued).toBe(before.totals.queued + 2);
    agent.complete(leaseId);
    agent.complete((await agent.next("lease")).leaseId, 1);
    await Promise.all([running.response(), waiting.response()]);
    const after = await metrics();
    expect(after.totals.completed).toBe(before.totals.completed + 2);
    const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);
    expect(total(after.executionDuration.counts)).toBe(total(before.executionDuration.counts) + 2);
    expect(total(after.queueDuration.counts)).toBe(total(before.queueDuration.counts) + 2);
    expect(after.now.groups).toEqual([]);
  });

  test("operations are listed page by page", async () => {
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await clients.operations.listOperations({ name: `${INSTANCE}/operations`, pageSize: 3, pageToken });
      seen.push(...page.operations.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    const all = await clients.operations.listOperations({ name: INSTANCE, pageSize: 1000 });
    expect(seen).toEqual(all.operations.map(({ name }) => name));
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describe("the Instance object's deadlines", () => {
  let worker: TestWorker;
  let clients: Clients;

  beforeAll(async () => {
    worker = await startWorker({
      config: config({ no_worker_timeout_s: 1.5, worker_timeout_s: 1, client_action_timeout_s: 0.2 }),
    });
    clients = clientsOf(worker);
  });
  afterAll(() => worker.dispose());

  test("no agent that could run it: RESOURCE_EXHAUSTED naming the property, then at once, until one joins (buildfarm#1510)", async () => {
    const wanted = { properties: { OSFamily: "plan9" } };
    const agent = await ScriptedAgent.connect(worker.url, "linux", {
      platform: { properties: [{ name: "OSFamily", value: "linux" }] },
    });
    const { status } = await (await execute(clients, wanted)).response();
    expect(status).toMatchObject({ code: Code.ResourceExhausted });
    expect(status?.message).toContain("OSFamily=plan9");
    await expect((await execute(clients, wanted)).done()).rejects.toMatchObject({ code: Code.ResourceExhausted });

    const rare = await ScriptedAgent.connect(worker.url, "plan9", {
      platform: { properties: [{ name: "OSFamily", value: "plan9" }] },
    });
    const stream = await execute(clients, wanted);
    rare.complete((await rare.next("lease")).leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    await Promise.all([agent.close(), rare.close()]);
  });

  test("an agent that is silent for the worker timeout loses its lease to another (nativelink#1972)", async () => {
    const silent = await ScriptedAgent.connect(worker.url, "silent");
    const stream = await execute(clients);
    const first = await silent.next("lease");
    const other = await ScriptedAgent.connect(worker.url, "heartbeats");
    const { leaseId } = await other.next("lease");
    expect(leaseId).not.toBe(first.leaseId);
    other.complete(leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { executionMetadata: { worker: "heartbeats" } } });
    await Promise.all([silent.close(), other.close()]);
  });

  test("an agent whose heartbeats the platform answers is not silent", async () => {
    const agent = await ScriptedAgent.connect(worker.url, "beating");
    const stream = await execute(clients);
    const { leaseId } = await agent.next("lease");
    const beat = setInterval(() => {
      agent.sendRaw("ping");
    }, 100);
    // Three worker timeouts long: an object that looked at messages alone would have given it up.
    const { name } = await stream.until(Stage.EXECUTING);
    await clients.operations.waitOperation({ name, timeout: { seconds: 3n, nanos: 0 } });
    clearInterval(beat);
    agent.complete(leaseId);
    await expect(stream.response()).resolves.toMatchObject({ result: { executionMetadata: { worker: "beating" } } });
    expect(agent.pending("lease")).toBe(0);
    await agent.close();
  });

  test("an action that no client waits for any more is cancelled on its agent (nativelink#2693)", async () => {
    const agent = await ScriptedAgent.connect(worker.url, "abandoned");
    const action = prepareAction({ script: "true", salt: "abandoned" });
    await upload(clients, action.blobs);
    // Its deadline takes the client away at once. A broken connection shows at the next keep-alive, seconds later.
    const stream = new ExecutionStream(
      clients.execution.execute({ instanceName: INSTANCE, actionDigest: action.digest }, { timeoutMs: 150 }),
    );
    const { leaseId } = await agent.next("lease");
    const { name } = await stream.until(Stage.EXECUTING);
    await expect(stream.done()).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    await expect(agent.next("cancel")).resolves.toMatchObject({ leaseId });
    await expect(clients.operations.getOperation({ name })).resolves.toMatchObject({
      done: true,
      result: { case: "error", value: { code: Code.Canceled } },
    });
    await agent.close();
  });
});

describe("an instance of four scheduler shards", () => {
  const SHARDS = [0, 1, 2, 3];
  let worker: TestWorker;
  let clients: Clients;

  beforeAll(async () => {
    worker = await startWorker({ config: config({ shards: SHARDS.length }) });
    clients = clientsOf(worker);
  });
  afterAll(() => worker.dispose());

  function connectToAll(id: string): Promise<ScriptedAgent[]> {
    return Promise.all(SHARDS.map((shard) => ScriptedAgent.connect(worker.url, id, {}, shard)));
  }

  test("spreads actions by digest, and finds, merges and lists each operation wherever it is", async () => {
    const options = Array.from({ length: 24 }, (_, index) => ({ salt: `sharded ${index}` }));
    const streams = await Promise.all(options.map((option) => execute(clients, option)));
    const twins = await Promise.all(options.map((option) => execute(clients, option)));
    const names = await Promise.all(
      [...streams, ...twins].map(async (stream) => (await stream.until(Stage.QUEUED)).name),
    );
    const shards = names.map((name) => Number(name.split("/").at(-2)));
    expect(new Set(shards)).toEqual(new Set(SHARDS));
    expect(shards.slice(0, options.length)).toEqual(shards.slice(options.length));

    const listed: string[] = [];
    let pageToken = "";
    do {
      const page = await clients.operations.listOperations({ name: INSTANCE, pageSize: 5, pageToken });
      listed.push(...page.operations.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(listed.sort()).toEqual(names.sort());

    const agents = await connectToAll("everywhere");
    const counts = SHARDS.map((shard) => shards.slice(0, options.length).filter((other) => other === shard).length);
    await Promise.all(
      agents.map(async (agent, shard) => {
        for (let n = 0; n < (counts[shard] ?? 0); n++) agent.complete((await agent.next("lease")).leaseId);
      }),
    );
    for (const stream of [...streams, ...twins]) {
      await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    }
    await Promise.all(agents.map((agent) => agent.close()));
  });

  test("an agent that is full with another shard's work gets the lease again once it says that it is free", async () => {
    const agents = await connectToAll("shared");
    const stream = await execute(clients);
    const [first, shard] = await Promise.race(
      agents.map(async (agent, index) => [await agent.next("lease"), index] as const),
    );
    const agent = agents[shard];
    expect(agent).toBeDefined();
    agent?.send({ case: "capacity", value: { maxActions: 0 } });
    agent?.end(first.leaseId, { outcome: Outcome.BUSY });
    await agent?.next("acknowledgement");
    expect(agent?.pending("lease")).toBe(0);
    agent?.send({ case: "capacity", value: { maxActions: 1 } });
    const second = await agent?.next("lease");
    expect(second?.leaseId).not.toBe(first.leaseId);
    agent?.complete(second?.leaseId ?? "");
    await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    await Promise.all(agents.map((open) => open.close()));
  });

  test("there is no fifth shard", async () => {
    await expect(ScriptedAgent.open(worker.url, "lost", 4)).rejects.toThrow("404");
    const name = "main/operations/4/00000000-0000-0000-0000-000000000000";
    await expect(clients.operations.getOperation({ name })).rejects.toMatchObject({ code: Code.NotFound });
  });
});

describe("an object that sleeps", () => {
  test("wakes up with its queue, its agents and its watchers, through a long action and between two", async () => {
    const worker = await startWorker({ config: config({}) });
    const clients = clientsOf(worker);
    const agent = await ScriptedAgent.connect(worker.url, "sleeper");
    const idle = await ScriptedAgent.connect(worker.url, "idle", {
      platform: { properties: [{ name: "k", value: "v" }] },
    });
    // Hibernation, as the platform does it to an object that has nothing to do: sockets stay, memory goes.
    const sleep = () => worker.mf.unsafeEvictDurableObject(LOCAL_WORKER.name, "Instance", { name: "0/main" });

    const running = await execute(clients);
    const queued = await execute(clients, { properties: { k: "v" } });
    const { leaseId } = await agent.next("lease");
    const { name } = await running.until(Stage.EXECUTING);
    const second = await idle.next("lease");
    await queued.until(Stage.EXECUTING);
    await sleep();
    agent.complete(leaseId);
    await expect(running.response()).resolves.toMatchObject({ result: { executionMetadata: { worker: "sleeper" } } });
    await sleep();
    idle.complete(second.leaseId);
    await expect(queued.response()).resolves.toMatchObject({ result: { executionMetadata: { worker: "idle" } } });
    await sleep();
    await expect(clients.operations.getOperation({ name })).resolves.toMatchObject({ done: true });
    await sleep();
    const woken = await execute(clients);
    const third = await Promise.race([agent.next("lease"), idle.next("lease")]);
    agent.complete(third.leaseId);
    idle.complete(third.leaseId);
    await expect(woken.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    await Promise.all([agent.close(), idle.close()]);
    await worker.dispose();
  });
});

describe("a restart of everything", () => {
  test("running and queued operations are there again, and finish once (bazel#21530)", async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), "remex-restart-"));
    const options = { dataDirectory, config: config({}) };
    const before = await startWorker(options);
    const agent = await ScriptedAgent.connect(before.url, "survivor");
    const running = await execute(clientsOf(before));
    const { leaseId } = await agent.next("lease");
    const { name: runningName } = await running.until(Stage.EXECUTING);
    const { name: queuedName } = await (await execute(clientsOf(before))).until(Stage.QUEUED);
    const cut = running.done().catch((error: unknown) => error);
    await before.dispose();
    await expect(cut).resolves.toBeInstanceOf(ConnectError);

    const after = await startWorker(options);
    const { execution } = clientsOf(after);
    const resumed = new ExecutionStream(execution.waitExecution({ name: runningName }));
    const queued = new ExecutionStream(execution.waitExecution({ name: queuedName }));
    await resumed.until(Stage.EXECUTING);
    await queued.until(Stage.QUEUED);
    const back = await ScriptedAgent.connect(after.url, "survivor", { leaseIds: [leaseId] });
    back.complete(leaseId);
    await expect(resumed.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    back.complete((await back.next("lease")).leaseId);
    await expect(queued.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    await back.close();
    await after.dispose();
    await rm(dataDirectory, { recursive: true });
  });
});
