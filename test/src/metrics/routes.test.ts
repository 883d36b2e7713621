import { expect, test } from "vitest";
import { z } from "zod";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { useInstance } from "../../durable-objects/instance/instance-fixture.ts";

const instance = useInstance({ shards: 2 });

async function get(path: string): Promise<Response> {
  return fetch(instance.worker.url + path, { headers: { connection: "close" } });
}

test("/metrics tells of every shard, /demand of the instance", async () => {
  const [waiting] = [await instance.execute({ properties: { cpu_count: "2", OSFamily: "linux" } })];
  await waiting.until(Stage.QUEUED);
  const metrics = await (await get("/metrics")).text();
  expect(metrics).toMatch(/^remex_build_info\{version="\d+\.\d+\.\d+"\} 1$/m);
  expect(metrics).toContain("# TYPE remex_queued_executions gauge\n");
  expect(metrics).toMatch(
    /^remex_queued_executions\{instance="main",shard="[01]",platform="OSFamily=linux,cpu_count>=2"\} 1$/m,
  );
  for (const shard of [0, 1]) {
    expect(metrics).toMatch(
      new RegExp(`^remex_agents\\{instance="main",shard="${shard}",state="connected"\\} 0$`, "m"),
    );
    expect(metrics).toMatch(
      new RegExp(`^remex_queue_duration_seconds_count\\{instance="main",shard="${shard}"\\} \\d+$`, "m"),
    );
  }
  await expect((await get("/v1/instances/main/demand")).json()).resolves.toMatchObject({
    instance: "main",
    queued: 1,
    active: 0,
    agents: 0,
    slots: { free: 0, busy: 0 },
    platforms: [{ platform: "OSFamily=linux,cpu_count>=2", queued: 1, agents: 0 }],
  });
});

test("an agent of all shards counts once in the demand, for what it has free everywhere", async () => {
  const slots = async () => {
    const demand: unknown = await (await get("/v1/instances/main/demand")).json();
    return z.object({ slots: z.unknown(), agents: z.number() }).parse(demand);
  };
  const shards = await Promise.all([0, 1].map((shard) => instance.connect("everywhere", { maxActions: 3 }, shard)));
  const alone = await instance.connect("of one shard", { maxActions: 2 }, 1);
  expect(await slots()).toMatchObject({ slots: { free: 5, busy: 0 } });
  await alone.leave();
  await expect.poll(slots).toEqual({ slots: { free: 3, busy: 0 }, agents: 1 });

  // What one shard has taken, the agent takes back from the other, which takes a while.
  const stream = await instance.execute({ salt: "slots" });
  const [lease, taker] = await Promise.race(
    shards.map(async (agent, shard) => [await agent.next("lease"), shard] as const),
  );
  expect(await slots()).toEqual({ slots: { free: 2, busy: 1 }, agents: 1 });
  shards[1 - taker]?.send({ case: "capacity", value: { maxActions: 2 } });
  await expect.poll(slots).toEqual({ slots: { free: 2, busy: 1 }, agents: 1 });
  shards[taker]?.complete(lease.leaseId);
  await stream.response();
  await expect.poll(slots).toEqual({ slots: { free: 2, busy: 0 }, agents: 1 });
});

test("the health pages answer, and an unknown instance has no demand", async () => {
  await expect((await get("/healthz")).text()).resolves.toBe("ok\n");
  await expect((await get("/readyz")).text()).resolves.toBe("ready\n");
  expect((await get("/v1/instances/nope/demand")).status).toBe(400);
});
