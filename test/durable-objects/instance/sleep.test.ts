import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { useInstance } from "./instance-fixture.ts";

const instance = useInstance({});

test("wakes up with its queue, its agents and its watchers, through a long action and between two", async () => {
  const agent = await instance.connect("sleeper");
  const idle = await instance.connect("idle", {
    platform: { properties: [{ name: "k", value: "v" }] },
  });
  // Hibernation, as the platform does it to an object that has nothing to do: sockets stay, memory goes.
  const sleep = () => instance.worker.mf.unsafeEvictDurableObject(LOCAL_WORKER.name, "Instance", { name: "0/main" });

  const running = await instance.execute();
  const queued = await instance.execute({ properties: { k: "v" } });
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
  await expect(instance.clients.operations.getOperation({ name })).resolves.toMatchObject({ done: true });
  await sleep();
  const woken = await instance.execute();
  const third = await Promise.race([agent.next("lease"), idle.next("lease")]);
  agent.complete(third.leaseId);
  idle.complete(third.leaseId);
  await expect(woken.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
});
