import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker } from "../../worker.ts";
import { ExecutionStream } from "./execution-stream.ts";
import { clientsOf, execute, instanceConfig } from "./instance-fixture.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

test("running and queued operations are there again, and finish once (bazel#21530)", async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), "remex-restart-"));
  const options = { dataDirectory, config: instanceConfig({}) };
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
