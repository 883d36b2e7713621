import { expect, test } from "vitest";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { blobOf } from "../../e2e/action.ts";
import { upload } from "../../e2e/clients.ts";
import { useInstance } from "./instance-fixture.ts";

const instance = useInstance({ max_job_retries: 0, failure_memory_s: 1 });

// A command of more than 512 KiB is kept and leased without its text.
test.each([
  ["small", 10],
  ["large", 600_000],
])(
  "an output that leads out of the working directory is taken if the command declares it (a %s command)",
  async (_, length) => {
    const blob = blobOf(`output of ${length}`);
    await upload(instance.clients, [blob]);
    const agent = await instance.connect(`agent-${length}`);
    const run = async (path: string, salt: string) => {
      const stream = await instance.execute({
        salt,
        outputPaths: ["../out", "in"],
        environment: { LONG: "x".repeat(length) },
      });
      const { leaseId } = await agent.next("lease");
      agent.end(leaseId, {
        outcome: Outcome.COMPLETED,
        actionResult: { exitCode: 0, outputFiles: [{ path, digest: blob.digest }] },
      });
      return stream.response();
    };
    await expect(run("../out", "honest")).resolves.toMatchObject({ result: { outputFiles: [{ path: "../out" }] } });
    const { status } = await run("../../etc/passwd", "lying");
    expect(status?.message).toContain('output "../../etc/passwd" is not one that the command declares');
    await agent.leave();
  },
);
