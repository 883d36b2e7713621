import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { type ExecuteOptions, useInstance } from "./instance-fixture.ts";

const instance = useInstance({});

/** Queues an action whose command says `name`. */
async function queue(name: string, options: ExecuteOptions) {
  const stream = await instance.execute({ script: `echo ${name}`, ...options });
  await stream.until(Stage.QUEUED);
  return stream;
}

test("builds take turns, however much one of them has queued before (bb-remote-execution#38)", async () => {
  const wanted = { properties: { pool: "turns" } };
  const names = ["big 1", "big 2", "big 3", "big 4", "small 1", "small 2"];
  const streams = [];
  for (const name of names) {
    streams.push(await queue(name, { ...wanted, invocationId: name.startsWith("big") ? "big" : "small" }));
  }
  const agent = await instance.connect("one-by-one", { platform: { properties: [{ name: "pool", value: "turns" }] } });
  const order = [];
  for (const { length } = names; order.length < length;) {
    const { leaseId, command } = await agent.next("lease");
    order.push(names.find((name) => new TextDecoder().decode(command).includes(`echo ${name}`)));
    agent.complete(leaseId);
  }
  expect(order).toEqual(["big 1", "small 1", "big 2", "small 2", "big 3", "big 4"]);
  await Promise.all(streams.map((stream) => stream.response()));
});

test("an action whose attempt failed keeps its place before those that came later (buildbuddy#12656)", async () => {
  const wanted = { properties: { pool: "retries" }, invocationId: "one build" };
  const agent = await instance.connect("spoils-one", {
    platform: { properties: [{ name: "pool", value: "retries" }] },
  });
  const first = await instance.execute(wanted);
  const lease = await agent.next("lease");
  const later = [await queue("second", wanted), await queue("third", wanted)];
  agent.end(lease.leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: 13, message: "oops" } });
  const again = await agent.next("lease");
  expect(again.actionDigest).toEqual(lease.actionDigest);
  agent.complete(again.leaseId);
  await first.response();
  for (const stream of later) {
    agent.complete((await agent.next("lease")).leaseId);
    await stream.response();
  }
});
