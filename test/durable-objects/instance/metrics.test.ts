import { expect, test } from "vitest";
import { z } from "zod";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { useInstance } from "./instance-fixture.ts";

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

const instance = useInstance({});

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
