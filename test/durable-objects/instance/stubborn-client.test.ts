import { anyIs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { RetryInfoSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { type ExecuteOptions, useInstance } from "./instance-fixture.ts";

const instance = useInstance({ no_worker_timeout_s: 0.5, max_job_retries: 2 });

interface Failed {
  readonly code: number;
  /** Whether there is a RetryInfo. Bazel obeys it: it waits so long, and then asks anew. */
  readonly toldToWait: boolean;
}

/** As Bazel does with UNAVAILABLE, INTERNAL, ABORTED, UNKNOWN and RESOURCE_EXHAUSTED: again, five times. */
async function executeLikeBazel(options: ExecuteOptions): Promise<Failed[]> {
  const failures: Failed[] = [];
  for (let attempt = 0; attempt <= 5; attempt++) {
    try {
      const { status } = await (await instance.execute(options)).response();
      if (status === undefined) return failures;
      failures.push({ code: status.code, toldToWait: status.details.some((detail) => anyIs(detail, RetryInfoSchema)) });
    } catch (error) {
      const failure = ConnectError.from(error);
      failures.push({ code: failure.code, toldToWait: failure.findDetails(RetryInfoSchema).length > 0 });
    }
  }
  return failures;
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
  const failures = await executeLikeBazel({ salt: "killer" });
  expect(failures).toEqual(new Array(6).fill({ code: Code.Internal, toldToWait: false }));
  expect(attempts).toBe(3);
});

test("a platform that nobody has is waited for once, however often the client asks", async () => {
  const options = { salt: "nobody", properties: { "container-image": "docker://none" } };
  const before = await instance.clients.operations.listOperations({ name: "main", pageSize: 1000 });
  const failures = await executeLikeBazel(options);
  expect(failures).toEqual(new Array(6).fill({ code: Code.ResourceExhausted, toldToWait: false }));
  const after = await instance.clients.operations.listOperations({ name: "main", pageSize: 1000 });
  // Only the first request was queued at all; the others were refused at once.
  expect(after.operations.length).toBe(before.operations.length + 1);
});
