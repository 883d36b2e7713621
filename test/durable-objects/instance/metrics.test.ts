import { expect, test, vi } from "vitest";
import { z } from "zod";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { callMethod } from "../call-method.ts";
import { useInstance } from "./instance-fixture.ts";

const histogramSchema = z.object({ counts: z.array(z.number()) });

const metricsSchema = z.object({
  now: z.object({ agents: z.unknown(), groups: z.array(z.unknown()) }),
  totals: z.object({ queued: z.number(), completed: z.number() }),
  queueDuration: histogramSchema,
  executionDuration: histogramSchema,
});

const instance = useInstance({});

test("totals outlive the object's sleep, and so does the action cache's hit rate", async () => {
  const scrape = async () =>
    (await fetch(`${instance.worker.url}/metrics`, { headers: { connection: "close" } })).text();
  const valueOf = (text: string, series: string) =>
    Number(
      text
        .split("\n")
        .find((line) => line.startsWith(series))
        ?.split(" ")
        .at(-1),
    );
  const lookups = 'remex_action_cache_lookups_total{instance="main",result=';
  const before = await scrape();
  const agent = await instance.connect("sleepless");
  for (const hit of [false, true]) {
    const stream = await instance.execute({ salt: "sleepless" });
    if (!hit) agent.complete((await agent.next("lease")).leaseId);
    await expect(stream.response()).resolves.toMatchObject({ cachedResult: hit });
  }
  const object = { name: "0/main" };
  const storage = await instance.worker.mf.unsafeGetDurableObjectStorage(LOCAL_WORKER.name, "Instance", object);
  await vi.waitFor(
    async () => {
      expect(await storage.exec("SELECT counters FROM saved_counters")).not.toEqual([]);
    },
    { timeout: 20_000, interval: 100 },
  );
  await instance.worker.mf.unsafeEvictDurableObject(LOCAL_WORKER.name, "Instance", object);
  const after = await scrape();
  for (const series of [
    "remex_executions_completed_total{",
    "remex_executions_queued_total{",
    `${lookups}"hit"`,
    `${lookups}"miss"`,
  ]) {
    expect([series, valueOf(after, series)]).toEqual([series, valueOf(before, series) + 1]);
  }
});

test("attempts that agents spoil are counted as retries, and what is only handed back is not", async () => {
  const retries = async () => {
    const text = await (await fetch(`${instance.worker.url}/metrics`, { headers: { connection: "close" } })).text();
    return Number(/^remex_attempts_retried_total\{.*\} (\d+)$/m.exec(text)?.[1]);
  };
  const before = await retries();
  const [spoiler, leaver] = [await instance.connect("spoiler"), await instance.connect("leaver")];
  const streams = [await instance.execute(), await instance.execute()];
  spoiler.end((await spoiler.next("lease")).leaseId, {
    outcome: Outcome.INFRASTRUCTURE_FAILURE,
    status: { message: "no" },
  });
  leaver.end((await leaver.next("lease")).leaseId, { outcome: Outcome.HANDED_BACK });
  // The leaver drains from now on.
  for (let n = 0; n < 2; n++) spoiler.complete((await spoiler.next("lease")).leaseId);
  await Promise.all(streams.map((stream) => stream.response()));
  expect(await retries()).toBe(before + 1);
});

test("the metrics say what waits, what runs, who is there and what has been", async () => {
  const namespace = await instance.worker.mf.getDurableObjectNamespace("INSTANCE", LOCAL_WORKER.name);
  const stub = namespace.get(namespace.idFromName("0/main"));
  const metrics = async () => metricsSchema.parse(await callMethod(stub, "metrics"));
  const before = await metrics();
  const agent = await instance.connect("measured");
  const running = await instance.execute({ properties: { cpu_count: "0" } });
  const { leaseId } = await agent.next("lease");
  const waiting = await instance.execute({ properties: { cpu_count: "0" } });
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
