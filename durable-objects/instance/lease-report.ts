import { create, toBinary } from "@bufbuild/protobuf";
import { anyUnpack, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ExecuteResponse,
  ExecuteResponseSchema,
  ExecutedActionMetadataSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { Code } from "../../protos/gen/google/rpc/code_pb.ts";
import { PreconditionFailureSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { type Status, StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import { type LeaseResult, LeaseResult_Outcome as Outcome } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { LeaseOutcome } from "../scheduler/events.ts";
import { MAX_ROW_BYTES } from "./storage.ts";

/** As much of what an agent says of a failure as is kept: it is in the operation's row, once for each attempt. */
const MAX_MESSAGE_LENGTH = 4096;

/** What the Instance object makes of an agent's LeaseResult. */
export interface LeaseReport {
  readonly outcome: LeaseOutcome;
  /** What failed, for the outcomes that are failures of the agent. */
  readonly message: string;
  /** What the clients get, for the outcomes that end the execution. */
  readonly response: ExecuteResponse | undefined;
}

/** What an action may be refused with for good: missing inputs, a malformed action, a result beyond all limits. */
const REFUSAL_CODES: ReadonlySet<number> = new Set([
  Code.FAILED_PRECONDITION,
  Code.INVALID_ARGUMENT,
  Code.RESOURCE_EXHAUSTED,
]);

/** What the object knows better than the agent. */
export interface LeaseFacts {
  readonly agentName: string;
  readonly queuedAtMs: number;
  readonly timeoutMs: number;
  /** One line for each attempt before this one that failed. */
  readonly failures: readonly string[];
  /** What makes the result impossible; undefined if nothing does. */
  readonly fault: string | undefined;
}

/**
 * Reads an agent's LeaseResult. Agents are not trusted: a report that makes no sense is a failure of the agent, and the
 * action goes to another.
 */
export function leaseReport(result: LeaseResult, facts: LeaseFacts): LeaseReport {
  const message = (result.status?.message ?? "").slice(0, MAX_MESSAGE_LENGTH);
  if (facts.fault !== undefined) return malformed(`its result is malformed: ${facts.fault}`);
  switch (result.outcome) {
    case Outcome.COMPLETED:
      return result.actionResult === undefined
        ? malformed("it reported an action as completed without its result")
        : ended("completed", response(result, facts, undefined));
    case Outcome.TIMED_OUT: {
      const code = Code.DEADLINE_EXCEEDED;
      const text = `the action ran longer than its time limit of ${facts.timeoutMs / 1000} s`;
      return ended("timed_out", response(result, facts, create(StatusSchema, { code, message: text })));
    }
    case Outcome.REFUSED: {
      const code = result.status?.code;
      if (result.status === undefined || code === undefined || !REFUSAL_CODES.has(code)) {
        return malformed(`it refused an action with code ${code ?? "(none)"}: ${message}`);
      }
      return ended("refused", response(result, facts, readableStatus(result.status)));
    }
    case Outcome.INFRASTRUCTURE_FAILURE:
      return { outcome: "infrastructure_failure", message, response: undefined };
    case Outcome.HANDED_BACK:
      return { outcome: "handed_back", message, response: undefined };
    case Outcome.CANCELLED:
      return { outcome: "cancelled", message, response: undefined };
    case Outcome.BUSY:
      return { outcome: "busy", message, response: undefined };
    case Outcome.UNSPECIFIED:
      return malformed("it reported no outcome");
    default:
      return malformed(`it reported the outcome ${String(result.outcome)}, which is not known here`);
  }
}

/** Whether an execution's result may be cached: REAPI wants only successful actions in the action cache. */
export function isCacheable(response: ExecuteResponse): boolean {
  return response.status === undefined && response.result?.exitCode === 0;
}

function ended(outcome: LeaseOutcome, response: ExecuteResponse): LeaseReport {
  const sizeBytes = toBinary(ExecuteResponseSchema, response).length;
  if (sizeBytes <= MAX_ROW_BYTES) return { outcome, message: "", response };
  const status = create(StatusSchema, {
    code: Code.RESOURCE_EXHAUSTED,
    message:
      `the action's result takes ${sizeBytes} bytes, and ${MAX_ROW_BYTES} is the limit; ` +
      `declare output directories instead of many output files`,
  });
  return { outcome: "refused", message: "", response: create(ExecuteResponseSchema, { status }) };
}

/** What an agent refuses an action with, without details that no client can read. */
function readableStatus(status: Status): Status {
  return { ...status, details: status.details.filter((detail) => anyUnpack(detail, PreconditionFailureSchema)) };
}

function malformed(message: string): LeaseReport {
  return { outcome: "infrastructure_failure", message, response: undefined };
}

/** The result is the object's own, fresh from the socket, so it is completed in place. */
function response(result: LeaseResult, facts: LeaseFacts, status: Status | undefined): ExecuteResponse {
  const made = create(ExecuteResponseSchema, { serverLogs: result.serverLogs, message: retryMessage(facts) });
  if (status !== undefined) made.status = status;
  if (result.actionResult !== undefined) {
    const metadata = result.actionResult.executionMetadata ?? create(ExecutedActionMetadataSchema);
    metadata.worker = facts.agentName;
    // Of types that nobody here knows, so that a client that wants JSON could not have the result.
    metadata.auxiliaryMetadata = [];
    metadata.queuedTimestamp = timestampFromMs(facts.queuedAtMs);
    result.actionResult.executionMetadata = metadata;
    made.result = result.actionResult;
  }
  return made;
}

/** What a person should know of a result that took several attempts. */
function retryMessage({ failures }: LeaseFacts): string {
  return failures.length === 0 ? "" : `attempt ${failures.length + 1}, after: ${failures.join("; ")}`;
}
