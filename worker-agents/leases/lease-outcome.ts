import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  LeaseResult_Outcome as Outcome,
  LeaseResultSchema,
  type LeaseResult,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import { Refusal } from "../refusal.ts";
import { errorMessage, isDiskFull, systemErrorCode } from "../system-error.ts";
import { Interruption } from "./interruption.ts";

/**
 * The result of a lease that ended early.
 * @param phase what was being done, for the message: `fetching inputs`
 * @param error an Interruption; a Refusal, where the action itself is at fault; for anything else the machine is
 */
export function failedResult(leaseId: string, phase: string, error: unknown): LeaseResult {
  return create(LeaseResultSchema, { leaseId, ...failure(phase, error) });
}

function failure(
  phase: string,
  error: unknown,
): { readonly outcome: Outcome; readonly status: MessageInitShape<typeof StatusSchema> } {
  if (error instanceof Interruption) {
    const outcome = error.kind === "cancelled" ? Outcome.CANCELLED : Outcome.HANDED_BACK;
    return { outcome, status: { code: Code.Canceled, message: error.message } };
  }
  if (error instanceof Refusal) return { outcome: Outcome.REFUSED, status: error.status };
  return {
    outcome: Outcome.INFRASTRUCTURE_FAILURE,
    status: { code: Code.Internal, message: `${phase}: ${describe(error)}` },
  };
}

function describe(error: unknown): string {
  if (isDiskFull(error)) return `the agent's disk is full (${errorMessage(error)})`;
  switch (systemErrorCode(error)) {
    case "EMFILE":
    case "ENFILE":
      return `the agent has too many files open: raise its limit (${errorMessage(error)})`;
    default:
      return errorMessage(error);
  }
}
