import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ExecutedActionMetadataSchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { KnownExecutionSchema } from "../../../protos/gen/remex/instance/v1/instance_pb.ts";
import { type ExecutionView, executionView } from "../../../src/dashboard/execution-view.ts";
import { stagesOf } from "../../../src/dashboard/timeline.ts";

interface Times {
  readonly queued: number;
  readonly leased?: number | undefined;
  readonly ended?: number | undefined;
  /** Of the agent's clock: begin and end of fetching, running and uploading. */
  readonly agent?: readonly number[];
  readonly leases?: number;
}

function execution({ agent = [], ended, leased, leases = 1, queued }: Times): ExecutionView {
  const at = (ms: number | undefined) => (ms === undefined ? {} : timestampFromMs(ms));
  const [fetchStart, fetched, started, executed, uploadStart, uploaded] = agent;
  const progress = create(ExecutedActionMetadataSchema, {
    ...(fetchStart !== undefined && { inputFetchStartTimestamp: at(fetchStart) }),
    ...(fetched !== undefined && { inputFetchCompletedTimestamp: at(fetched) }),
    ...(started !== undefined && { executionStartTimestamp: at(started) }),
    ...(executed !== undefined && { executionCompletedTimestamp: at(executed) }),
    ...(uploadStart !== undefined && { outputUploadStartTimestamp: at(uploadStart) }),
    ...(uploaded !== undefined && { outputUploadCompletedTimestamp: at(uploaded) }),
  });
  return executionView(
    { instanceName: "main", shard: 0 },
    create(KnownExecutionSchema, {
      executionId: "e",
      progress,
      record: {
        queuedTimestamp: at(queued),
        leaseCount: leases,
        ...(leased !== undefined && { lease: { agentName: "a", startTimestamp: at(leased) } }),
        ...(ended !== undefined && { end: { timestamp: at(ended), result: { case: "response", value: {} } } }),
      },
    }),
  );
}

function told(times: Times, nowMs = 10_000): string[] {
  return stagesOf(execution(times), nowMs).map(
    ({ endMs, isOpen, name, startMs }) => `${name} ${startMs}-${isOpen ? "" : endMs}`,
  );
}

describe("the stages of an execution", () => {
  test("follow each other, from when it was queued to its end", () => {
    expect(told({ queued: 100, leased: 200, agent: [210, 300, 320, 900, 900, 950], ended: 1000 })).toEqual([
      "waiting 100-200",
      "agent 200-210",
      "fetching 210-300",
      "agent 300-320",
      "running 320-900",
      "uploading 900-950",
      "publishing 950-1000",
    ]);
  });

  test.each<[Times, string[]]>([
    [{ queued: 100 }, ["waiting 100-"]],
    [{ queued: 100, leased: 200 }, ["waiting 100-200", "fetching 200-"]],
    [{ queued: 100, leased: 200, agent: [200, 300] }, ["waiting 100-200", "fetching 200-300", "running 300-"]],
    [{ queued: 100, leased: 700, leases: 3, agent: [700] }, ["lost 100-700", "fetching 700-"]],
    [{ queued: 100, ended: 500 }, ["waiting 100-500"]],
  ])("of one that is not over, or never ran: %j", (times, stages) => {
    expect(told(times)).toEqual(stages);
  });

  test("have neither gaps nor overlaps, however the agent's clock goes", () => {
    const clock = fc.array(fc.nat(3000), { maxLength: 6 });
    fc.assert(
      fc.property(fc.nat(500), fc.nat(500), fc.nat(1000), clock, (queued, wait, run, agent) => {
        const ended = queued + wait + run;
        const stages = stagesOf(execution({ queued, leased: queued + wait, agent, ended }), 10_000);
        let reachedMs = queued;
        for (const { endMs, startMs } of stages) {
          expect(startMs).toBe(reachedMs);
          expect(endMs).toBeGreaterThan(startMs);
          reachedMs = endMs;
        }
        expect(reachedMs).toBe(ended);
      }),
    );
  });
});
