import { Code, ConnectError } from "@connectrpc/connect";
import { ExecutionStage_Value as Stage } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/** What ListOperations is asked for; what is undefined is not asked about. Sent to the Instance object as it is. */
export interface OperationFilter {
  readonly stage?: Stage;
  readonly done?: boolean;
  readonly toolInvocationId?: string;
  readonly actionHash?: string;
}

const STAGES: Readonly<Record<string, Stage>> = {
  QUEUED: Stage.QUEUED,
  EXECUTING: Stage.EXECUTING,
  COMPLETED: Stage.COMPLETED,
};

/**
 * Parses `name=value`, several of them joined by ` AND `: `stage` (QUEUED, EXECUTING or COMPLETED), `done` (true or false),
 * `tool_invocation_id`, `action_digest` (a hash). Empty is all operations.
 * @throws ConnectError INVALID_ARGUMENT
 */
export function parseOperationFilter(text: string): OperationFilter {
  const filter: { -readonly [K in keyof OperationFilter]: OperationFilter[K] } = {};
  for (const term of text.split(/ AND /i).filter((part) => part.trim() !== "")) {
    const [, name = "", value = ""] = /^\s*([a-z_]+)\s*=\s*"?([^"]*?)"?\s*$/.exec(term) ?? [];
    const stage = STAGES[value];
    if (name === "stage" && stage !== undefined) filter.stage = stage;
    else if (name === "done" && (value === "true" || value === "false")) filter.done = value === "true";
    else if (name === "tool_invocation_id") filter.toolInvocationId = value;
    else if (name === "action_digest") filter.actionHash = value.toLowerCase();
    else {
      throw new ConnectError(
        `filter has ${JSON.stringify(term.slice(0, 128))}; expected stage=QUEUED|EXECUTING|COMPLETED, done=true|false, ` +
          `tool_invocation_id=… or action_digest=…, joined by AND`,
        Code.InvalidArgument,
      );
    }
  }
  return filter;
}
