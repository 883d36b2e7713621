import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { bounded, knownExecution } from "../../../durable-objects/instance/known-execution.ts";
import {
  ExecutionRecordSchema,
  ExecutionRequestSchema,
  type KnownExecution,
  KnownExecutionSchema,
} from "../../../protos/gen/remex/instance/v1/instance_pb.ts";

/** More than a page of the history could hold of each of its executions. */
const MUCH = "x".repeat(20_000);

function ended(options: {
  readonly outputs?: number;
  readonly targetId?: string;
  readonly message?: string;
}): KnownExecution {
  const { message = "", outputs = 0, targetId = "//:t" } = options;
  const digest = { hash: "a".repeat(64), sizeBytes: 1n };
  const request = create(ExecutionRequestSchema, {
    actionDigest: digest,
    action: new TextEncoder().encode(MUCH),
    command: new TextEncoder().encode(MUCH),
    requestMetadata: { targetId },
  });
  const outputFiles = Array.from({ length: outputs }, (_, index) => ({ path: `out/${index}`, digest }));
  const result = { exitCode: 3, outputFiles, stdoutDigest: digest, executionMetadata: { worker: "w" } };
  const record = create(ExecutionRecordSchema, {
    operations: [{ operationId: "op" }],
    queuedTimestamp: timestampFromMs(1),
    end: { timestamp: timestampFromMs(2), result: { case: "response", value: { result, message } } },
  });
  return knownExecution("op", request, record);
}

describe("what is remembered of an execution", () => {
  test("is all but its Action and Command, where that is little", () => {
    const known = ended({ outputs: 2 });
    expect(bounded(known)).toBe(known);
    expect(known.request?.command).toHaveLength(0);
    expect(known.outputsOmitted).toBe(false);
  });

  test("is no list of thousands of outputs, and nothing else is left out for that", () => {
    const known = bounded(ended({ outputs: 1000 }));
    expect(known).toMatchObject({
      outputsOmitted: true,
      request: { requestMetadata: { targetId: "//:t" } },
      record: {
        end: { result: { value: { result: { exitCode: 3, outputFiles: [], executionMetadata: { worker: "w" } } } } },
      },
    });
  });

  test.each([{ targetId: MUCH }, { message: MUCH }])("is little, whatever clients and agents say", (options) => {
    const known = bounded(ended(options));
    expect(toBinary(KnownExecutionSchema, known).length).toBeLessThan(1000);
    expect(known).toMatchObject({
      executionId: "op",
      request: { actionDigest: { hash: "a".repeat(64) } },
      record: {
        operations: [{ operationId: "op" }],
        queuedTimestamp: { nanos: 1e6 },
        end: { timestamp: { nanos: 2e6 } },
      },
    });
  });
});
