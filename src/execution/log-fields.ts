import type { Digest } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/** How every part's log names an execution, so that its lines can be found together. Absent is what isn't known. */
export interface ExecutionLogFields {
  /** The operation's name. */
  readonly operation?: string;
  /** The action's digest: `{hash}/{size_bytes}`. */
  readonly action?: string;
  /** RequestMetadata.tool_invocation_id: the client's build. */
  readonly invocation?: string;
}

export function executionLogFields(
  operation: string | undefined,
  actionDigest: Digest | undefined,
  invocation: string | undefined,
): ExecutionLogFields {
  return {
    ...(operation !== undefined && operation !== "" && { operation }),
    ...(actionDigest !== undefined && { action: `${actionDigest.hash}/${actionDigest.sizeBytes}` }),
    ...(invocation !== undefined && invocation !== "" && { invocation }),
  };
}
