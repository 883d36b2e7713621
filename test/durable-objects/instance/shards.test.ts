import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { INSTANCE } from "../../e2e/clients.ts";
import { useInstance } from "./instance-fixture.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

const SHARDS = [0, 1, 2, 3];
const instance = useInstance({ shards: SHARDS.length });

function connectToAll(id: string): Promise<ScriptedAgent[]> {
  return Promise.all(SHARDS.map((shard) => instance.connect(id, {}, shard)));
}

test("spreads actions by digest, and finds, merges and lists each operation wherever it is", async () => {
  const options = Array.from({ length: 24 }, (_, index) => ({ salt: `sharded ${index}` }));
  const streams = await Promise.all(options.map((option) => instance.execute(option)));
  const twins = await Promise.all(options.map((option) => instance.execute(option)));
  const names = await Promise.all(
    [...streams, ...twins].map(async (stream) => (await stream.until(Stage.QUEUED)).name),
  );
  const shards = names.map((name) => Number(name.split("/").at(-2)));
  expect(new Set(shards)).toEqual(new Set(SHARDS));
  expect(shards.slice(0, options.length)).toEqual(shards.slice(options.length));

  const listed: string[] = [];
  let pageToken = "";
  do {
    const page = await instance.clients.operations.listOperations({ name: INSTANCE, pageSize: 5, pageToken });
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
});

test("an agent that is full with another shard's work gets the lease again once it says that it is free", async () => {
  const agents = await connectToAll("shared");
  const stream = await instance.execute();
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
});

test("there is no fifth shard", async () => {
  await expect(ScriptedAgent.open(instance.worker.url, "lost", 4)).rejects.toThrow("404");
  const name = "main/operations/4/00000000-0000-0000-0000-000000000000";
  await expect(instance.clients.operations.getOperation({ name })).rejects.toMatchObject({ code: Code.NotFound });
});
