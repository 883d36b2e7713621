import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { type ExecuteOptions, useInstance } from "./instance-fixture.ts";

const instance = useInstance({ no_worker_timeout_s: 0.5, max_job_retries: 2 });

/** As Bazel does with UNAVAILABLE, INTERNAL, ABORTED, UNKNOWN and RESOURCE_EXHAUSTED: again, five times. */
async function executeLikeBazel(options: ExecuteOptions): Promise<number[]> {
  const codes: number[] = [];
  for (let attempt = 0; attempt <= 5; attempt++) {
    try {
      const { status } = await (await instance.execute(options)).response();
      if (status === undefined) return codes;
      codes.push(status.code);
    } catch (error) {
      codes.push(ConnectError.from(error).code);
    }
  }
  return codes;
}

test("an action that kills machines runs max_job_retries + 1 times, however often the client asks", async () => {
  const agent = await instance.connect("victim");
  let attempts = 0;
  const spoil = async () => {
    for (;;) {
      const { leaseId } = await agent.next("lease");
      attempts += 1;
      agent.end(leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: Code.Internal, message: "bang" } });
    }
  };
  void spoil();
  const codes = await executeLikeBazel({ salt: "killer" });
  expect(codes).toEqual(new Array(6).fill(Code.Internal));
  expect(attempts).toBe(3);
});

test("a platform that nobody has is waited for once, however often the client asks", async () => {
  const options = { salt: "nobody", properties: { "container-image": "docker://none" } };
  const before = await instance.clients.operations.listOperations({ name: "main", pageSize: 1000 });
  const codes = await executeLikeBazel(options);
  expect(codes).toEqual(new Array(6).fill(Code.ResourceExhausted));
  const after = await instance.clients.operations.listOperations({ name: "main", pageSize: 1000 });
  // Only the first request was queued at all; the others were refused at once.
  expect(after.operations.length).toBe(before.operations.length + 1);
});
