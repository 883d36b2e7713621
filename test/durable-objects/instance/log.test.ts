import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { clientsOf, execute, instanceConfig } from "./instance-fixture.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

const lines: string[] = [];
let worker: TestWorker;

beforeAll(async () => {
  worker = await startWorker({
    config: instanceConfig({ max_job_retries: 1 }),
    onLog: (line) => lines.push(line),
  });
});

afterAll(() => worker.dispose());

test("the log names operation, action and invocation of what is tried again and given up; so does the lease", async () => {
  const agent = await ScriptedAgent.connect(worker.url, "unlucky");
  const stream = await execute(clientsOf(worker), { invocationId: "build-1" });
  const failed = { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: Code.Internal, message: "burnt" } };

  const first = await agent.next("lease");
  agent.end(first.leaseId, failed);
  const second = await agent.next("lease");
  agent.end(second.leaseId, failed);
  const { status } = await stream.response();
  await agent.close();

  expect(status?.code).toBe(Code.Internal);
  const { actionDigest, operationName, toolInvocationId } = first;
  expect(operationName).toMatch(/^main\/operations\/0\//);
  expect(toolInvocationId).toBe("build-1");
  const about = {
    operation: operationName,
    action: `${actionDigest?.hash}/${actionDigest?.sizeBytes}`,
    invocation: "build-1",
  };
  const logged = () => lines.map((line): unknown => JSON.parse(line));
  await expect
    .poll(logged)
    .toEqual(
      expect.arrayContaining([
        expect.objectContaining({ ...about, level: "warn", message: "action queued again" }),
        expect.objectContaining({ ...about, level: "error", message: "action given up" }),
      ]),
    );
});
