import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  type ExecutedActionMetadata,
  ExecuteOperationMetadataSchema,
  type ExecuteResponse,
  ExecuteResponseSchema,
  ExecutionStage_Value as Stage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { type Operation, OperationSchema } from "../../protos/gen/google/longrunning/operations_pb.ts";
import type { Status } from "../../protos/gen/google/rpc/status_pb.ts";
import type { ExecutionRequest } from "../../protos/gen/remex/instance/v1/instance_pb.ts";

/** One of the two streams that a command writes. */
export type OutputStream = "stdout" | "stderr";

/** The resource that ByteStream.Read serves while the action runs and after: `{operation name}/stdout`. */
export function outputStreamName(operationName: string, stream: OutputStream): string {
  return `${operationName}/${stream}`;
}

/** Undefined if the resource name is none that `outputStreamName` makes. */
export function parseOutputStreamName(name: string): { operationName: string; stream: OutputStream } | undefined {
  const match = /^(.*(?:^|\/)operations\/[^/]+\/[^/]+)\/(stdout|stderr)$/.exec(name);
  if (match === null) return undefined;
  const [, operationName = "", stream] = match;
  return { operationName, stream: stream === "stdout" ? "stdout" : "stderr" };
}

/** Where an execution stands, as its clients are told. */
export type Standing =
  | { readonly stage: Stage.UNKNOWN | Stage.CACHE_CHECK }
  | { readonly stage: Stage.QUEUED | Stage.EXECUTING; readonly metadata: ExecutedActionMetadata }
  /** `metadata` is for one that has come to no result, which would have its own. */
  | { readonly stage: Stage.COMPLETED; readonly response: ExecuteResponse; readonly metadata?: ExecutedActionMetadata }
  | { readonly stage: Stage.COMPLETED; readonly error: Status; readonly metadata?: ExecutedActionMetadata };

/** The operation message that one client gets. */
export function operationMessage(name: string, request: ExecutionRequest, standing: Standing): Operation {
  const response = "response" in standing ? standing.response : undefined;
  const metadata = create(ExecuteOperationMetadataSchema, {
    stage: standing.stage,
    digestFunction: request.digestFunction,
  });
  if (request.actionDigest !== undefined) metadata.actionDigest = request.actionDigest;
  const partial = response?.result?.executionMetadata ?? ("metadata" in standing ? standing.metadata : undefined);
  if (partial !== undefined) metadata.partialExecutionMetadata = partial;
  if (standing.stage === Stage.EXECUTING) {
    metadata.stdoutStreamName = outputStreamName(name, "stdout");
    metadata.stderrStreamName = outputStreamName(name, "stderr");
  }
  return create(OperationSchema, {
    name,
    metadata: anyPack(ExecuteOperationMetadataSchema, metadata),
    done: standing.stage === Stage.COMPLETED,
    result:
      response !== undefined
        ? { case: "response", value: anyPack(ExecuteResponseSchema, response) }
        : "error" in standing
          ? { case: "error", value: standing.error }
          : { case: undefined },
  });
}
