import { clone, create, toBinary } from "@bufbuild/protobuf";
import { ActionResultSchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  EndRecordSchema,
  type ExecutionRecord,
  ExecutionRecordSchema,
  type ExecutionRequest,
  ExecutionRequestSchema,
  type KnownExecution,
  KnownExecutionSchema,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";

/** The most that is kept of one execution: a page of the history holds many, and must stay below a row's limit. */
const MAX_BYTES = 16 << 10;

/** An execution as people are shown it. Action and Command are left out: they are in the CAS. */
export function knownExecution(id: string, request: ExecutionRequest, record: ExecutionRecord): KnownExecution {
  const shown = { ...request, action: new Uint8Array(), command: new Uint8Array() };
  return create(KnownExecutionSchema, { executionId: id, request: shown, record });
}

/** The same within MAX_BYTES: the names of outputs go first, and then all that clients and agents have put into words. */
export function bounded(known: KnownExecution): KnownExecution {
  if (fits(known)) return known;
  const shortened = withoutOutputs(known);
  return fits(shortened) ? shortened : bare(known);
}

function fits(known: KnownExecution): boolean {
  return toBinary(KnownExecutionSchema, known).length <= MAX_BYTES;
}

function withoutOutputs(known: KnownExecution): KnownExecution {
  const shortened = clone(KnownExecutionSchema, known);
  shortened.outputsOmitted = true;
  const result = shortened.record?.end?.result;
  if (result?.case !== "response") return shortened;
  result.value.serverLogs = {};
  if (result.value.result === undefined) return shortened;
  const { executionMetadata, exitCode, stderrDigest, stdoutDigest } = result.value.result;
  result.value.result = create(ActionResultSchema, {
    exitCode,
    ...(executionMetadata && { executionMetadata }),
    ...(stdoutDigest && { stdoutDigest }),
    ...(stderrDigest && { stderrDigest }),
  });
  return shortened;
}

/** Which action it was, and when it came and went. */
function bare({ executionId, record, request }: KnownExecution): KnownExecution {
  return create(KnownExecutionSchema, {
    executionId,
    outputsOmitted: true,
    request: create(ExecutionRequestSchema, {
      ...(request && { digestFunction: request.digestFunction }),
      ...(request?.actionDigest && { actionDigest: request.actionDigest }),
    }),
    record: create(ExecutionRecordSchema, {
      operations: record?.operations.slice(0, 64) ?? [],
      leaseCount: record?.leaseCount ?? 0,
      ...(record?.queuedTimestamp && { queuedTimestamp: record.queuedTimestamp }),
      ...(record?.end?.timestamp && { end: create(EndRecordSchema, { timestamp: record.end.timestamp }) }),
    }),
  });
}
