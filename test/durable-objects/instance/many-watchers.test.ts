import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ExecutionStream } from "./execution-stream.ts";
import { useInstance } from "./instance-fixture.ts";

const WATCHERS = 500;

const instance = useInstance({});

test("hundreds of clients that wait for one action disturb nobody, and all hear of its end", async () => {
  const agent = await instance.connect("watched", { maxActions: 2 });
  const stream = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const { name } = await stream.until(Stage.EXECUTING);
  const watchers = Array.from({ length: WATCHERS }, () => {
    return new ExecutionStream(instance.clients.execution.waitExecution({ name }));
  });
  await Promise.all(watchers.map((watcher) => watcher.until(Stage.EXECUTING)));

  const other = await instance.execute();
  agent.complete((await agent.next("lease")).leaseId);
  await expect(other.response()).resolves.toMatchObject({ result: { exitCode: 0 } });

  agent.complete(leaseId);
  const ends = await Promise.all(watchers.map((watcher) => watcher.response()));
  expect(ends.every(({ result }) => result?.executionMetadata?.worker === "watched")).toBe(true);
});
