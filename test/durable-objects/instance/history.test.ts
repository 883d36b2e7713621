import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { KnownExecutionsSchema } from "../../../protos/gen/remex/instance/v1/instance_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { callMethod } from "../call-method.ts";
import { clientsOf, execute, instanceConfig } from "./instance-fixture.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

async function endedOf({ mf }: TestWorker, invocationId: string): Promise<string[]> {
  const namespace = await mf.getDurableObjectNamespace("INSTANCE");
  const stub = namespace.get(namespace.idFromName("0/main"));
  const bytes = await callMethod(stub, "inspectInvocation", invocationId, 1000);
  if (!(bytes instanceof Uint8Array)) throw new Error("an invocation is always answered");
  return fromBinary(KnownExecutionsSchema, bytes).executions.map(({ executionId }) => executionId);
}

test("the oldest are forgotten when there are more than are to be remembered", async () => {
  const worker = await startWorker({ config: instanceConfig({ max_history_actions: 64 }) });
  const agent = await ScriptedAgent.connect(worker.url, "busy", { maxActions: 200 });
  const clients = clientsOf(worker);
  for (const round of ["old", "middle", "new"]) {
    const options = { invocationId: round, doNotCache: true };
    const streams = await Promise.all(Array.from({ length: 64 }, () => execute(clients, options)));
    for (let left = streams.length; left > 0; left--) agent.complete((await agent.next("lease")).leaseId);
    await Promise.all(streams.map((stream) => stream.response()));
  }
  await expect(endedOf(worker, "new")).resolves.toHaveLength(64);
  await expect(endedOf(worker, "old")).resolves.toEqual([]);
  await agent.close();
  await worker.dispose();
});

test("what ended just before the object's memory was lost is in the history all the same, once", async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), "remex-history-"));
  const options = { dataDirectory, config: instanceConfig({}) };
  const seen: string[][] = [];
  for (const round of ["first", "second", "third"]) {
    const worker = await startWorker(options);
    const agent = await ScriptedAgent.connect(worker.url, round);
    const stream = await execute(clientsOf(worker), { invocationId: "cut" });
    agent.complete((await agent.next("lease")).leaseId);
    await stream.response();
    seen.push(await endedOf(worker, "cut"));
    await agent.close();
    // Long before the page is written.
    await worker.dispose();
  }
  const [first = [], second = [], third = []] = seen;
  expect([first, second, third].map(({ length }) => length)).toEqual([1, 2, 3]);
  expect(new Set(third).size).toBe(3);
  expect(third.slice(1)).toEqual(second);
  await rm(dataDirectory, { recursive: true });
});
