import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { LeaseResult_Outcome as Outcome } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { useInstance } from "./instance-fixture.ts";

// An attempt that is spoiled is the last: the client hears what the agent did.
const instance = useInstance({ max_job_retries: 0 });

const DIGEST = { hash: "0".repeat(64), sizeBytes: 1n };

type Result = Parameters<Awaited<ReturnType<typeof instance.connect>>["end"]>[1];

/** How an action ends of which an agent reports this. */
async function endOf(result: Result, outputPaths: readonly string[] = ["out"]) {
  const agent = await instance.connect(crypto.randomUUID());
  const stream = await instance.execute({ outputPaths });
  agent.end((await agent.next("lease")).leaseId, result);
  const response = await stream.response();
  await agent.leave();
  return response;
}

describe("a result is a failure of the agent's if it", () => {
  test.each([
    [
      "leaves the working directory",
      { outputFiles: [{ path: "../../etc/passwd", digest: DIGEST }] },
      "../../etc/passwd",
    ],
    ["is absolute", { outputSymlinks: [{ path: "/etc/passwd", target: "x" }] }, "must be relative"],
    ["has a way round in it", { outputDirectories: [{ path: "a/../out", treeDigest: DIGEST }] }, "a/../out"],
    ["has a malformed digest", { outputFiles: [{ path: "out", digest: { hash: "xyz", sizeBytes: 1n } }] }, "xyz"],
    [
      "was made at an impossible time",
      { executionMetadata: { executionStartTimestamp: { seconds: 1n << 60n, nanos: 0 } } },
      "timestamp",
    ],
    [
      "took an impossible time",
      { executionMetadata: { virtualExecutionDuration: { seconds: -5n, nanos: 0 } } },
      "virtual_execution_duration",
    ],
  ])("%s", async (_what, actionResult, said) => {
    const { result, status } = await endOf({ outcome: Outcome.COMPLETED, actionResult });
    expect(status?.code).toBe(Code.Internal);
    expect(status?.message).toContain("its result is malformed");
    expect(status?.message).toContain(said);
    expect(result).toBeUndefined();
  });
});

test("an output is where the command says that it is, however it says so", async () => {
  const outputFiles = [{ path: "sub/../declared", digest: DIGEST }];
  const { result, status } = await endOf({ outcome: Outcome.COMPLETED, actionResult: { outputFiles } }, [
    "sub/../declared",
  ]);
  expect(status).toBeUndefined();
  expect(result?.outputFiles).toMatchObject([{ path: "sub/../declared" }]);
});

test("what an agent says of a failure is cut", async () => {
  const message = "x".repeat(3_000_000);
  const { status } = await endOf({ outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: 13, message } });
  expect(status?.code).toBe(Code.Internal);
  expect(status?.message.length).toBeLessThan(10_000);
});

test("details that nobody can read don't reach the client", async () => {
  const details = [{ typeUrl: "type.googleapis.com/no.such.Type", value: new Uint8Array(3) }];
  const { status } = await endOf({
    outcome: Outcome.REFUSED,
    status: { code: Code.FailedPrecondition, message: "no", details },
  });
  expect(status).toMatchObject({ code: Code.FailedPrecondition, message: "no", details: [] });
});

test("a socket is one agent's: one that says that it is another is closed", async () => {
  const agent = await instance.connect("one");
  agent.send({ case: "hello", value: { agentId: "another" } });
  await expect(agent.next("closed")).resolves.toMatchObject({ code: 4001 });
});

test.each([
  ["is too large", new Uint8Array((4 << 20) + 1)],
  ["can't be parsed", Uint8Array.of(0x0f)],
])("a message that %s closes the socket", async (_what, frame) => {
  const agent = await instance.connect(crypto.randomUUID());
  agent.sendRaw(frame);
  await expect(agent.next("closed")).resolves.toMatchObject({ code: 4001 });
});

test.each([
  ["a lease id", { leaseIds: ["x".repeat(129)] }],
  ["a hash", { cachedInputRoots: [{ hash: "0".repeat(129), sizeBytes: 1n }] }],
  ["the id of an agent that it replaces", { replacedAgentIds: ["x".repeat(129)] }],
])("a Hello with %s that is too long is turned away", async (_what, hello) => {
  const agent = await instance.connect(crypto.randomUUID());
  agent.send({ case: "hello", value: { agentId: agent.id, ...hello } });
  await expect(agent.next("closed")).resolves.toMatchObject({ code: 4001 });
});
