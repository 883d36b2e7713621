import { timestampMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import { SpanKind, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import type { ExecutedActionMetadata } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  LeaseResult_Outcome as Outcome,
  type Lease,
  type LeaseResult,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { parentContext } from "../../src/tracing/trace-context.ts";
import type { OnPhase } from "./execute-lease.ts";

/** A phase of a lease, by when it began and ended as far as it did. */
type Phase = readonly [name: string, began: Timestamp | undefined, ended: Timestamp | undefined];

/**
 * Executes a lease and, if the call that asked for its action is traced, makes spans of it and of its phases. They are made
 * at its end, from the times in its metadata: while it runs it costs nothing.
 */
export async function traceLease(
  tracer: Tracer | undefined,
  lease: Lease,
  onPhase: OnPhase,
  execute: (onPhase: OnPhase) => Promise<LeaseResult>,
): Promise<LeaseResult> {
  if (tracer === undefined || lease.traceparent === "") return execute(onPhase);
  const startMs = Date.now();
  let metadata: ExecutedActionMetadata | undefined;
  const result = await execute((phase, known) => {
    metadata = known;
    onPhase(phase, known);
  });
  makeSpans(tracer, lease, result, metadata, startMs, Date.now());
  return result;
}

function makeSpans(
  tracer: Tracer,
  { actionDigest, attempt, operationName, toolInvocationId, traceparent }: Lease,
  { actionResult, outcome, status }: LeaseResult,
  metadata: ExecutedActionMetadata | undefined,
  startMs: number,
  endMs: number,
): void {
  const parent = parentContext(traceparent);
  const span = tracer.startSpan(
    "lease",
    {
      kind: SpanKind.CONSUMER,
      startTime: startMs,
      attributes: {
        "remex.action_digest": `${actionDigest?.hash ?? ""}/${actionDigest?.sizeBytes ?? 0}`,
        "remex.attempt": attempt,
        "remex.operation": operationName,
        "remex.tool_invocation_id": toolInvocationId,
        "remex.outcome": Outcome[outcome],
        ...(metadata !== undefined && { "remex.worker": metadata.worker }),
        ...(actionResult !== undefined && { "process.exit.code": actionResult.exitCode }),
      },
    },
    parent,
  );
  if (outcome !== Outcome.COMPLETED) span.setStatus({ code: SpanStatusCode.ERROR, message: status?.message ?? "" });
  for (const [name, began, ended] of phasesOf(metadata)) {
    if (began === undefined) continue;
    const phase = tracer.startSpan(name, { startTime: timestampMs(began) }, trace.setSpan(parent, span));
    if (ended === undefined) phase.setStatus({ code: SpanStatusCode.ERROR });
    phase.end(ended === undefined ? endMs : timestampMs(ended));
  }
  span.end(endMs);
}

function phasesOf(metadata: ExecutedActionMetadata | undefined): Phase[] {
  if (metadata === undefined) return [];
  return [
    ["fetch inputs", metadata.inputFetchStartTimestamp, metadata.inputFetchCompletedTimestamp],
    ["run", metadata.executionStartTimestamp, metadata.executionCompletedTimestamp],
    ["upload outputs", metadata.outputUploadStartTimestamp, metadata.outputUploadCompletedTimestamp],
  ];
}
