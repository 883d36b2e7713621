import { fromBinary, toBinary, create } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  type Digest,
  ExecuteRequestSchema,
  ExecuteResponseSchema,
  Execution,
  type ExecuteResponse,
  RequestMetadataSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { OperationSchema } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { type Caller, type CallHeaders, encode } from "../calls/caller.ts";
import { statusError } from "../calls/status-error.ts";
import { type Operation, WrongAnswer } from "../load/closed-loop.ts";

/** How an action is to be executed. */
export interface ExecuteOptions {
  readonly instanceName: string;
  readonly actionDigest: Digest;
  /** The build that asks. */
  readonly toolInvocationId: string;
  /** Whether the result must come from the cache; false: it must not. */
  readonly cached: boolean;
}

/** Executes an action to the end of its stream. */
export function execute(caller: Caller, options: ExecuteOptions): Operation {
  const { instanceName, actionDigest, toolInvocationId } = options;
  const request = encode(ExecuteRequestSchema, { instanceName, actionDigest });
  const headers = requestMetadata(toolInvocationId);
  return async () => {
    let last: Uint8Array | undefined;
    for await (const answer of caller.serverStream(Execution.method.execute, request, headers)) last = answer;
    return () => {
      const response = executeResponse(last);
      if (response.result?.exitCode !== 0) throw new WrongAnswer(`exit code ${response.result?.exitCode ?? "unknown"}`);
      if (response.cachedResult !== options.cached) {
        throw new WrongAnswer(options.cached ? "it was not served from the cache" : "it was served from the cache");
      }
    };
  };
}

/** What a finished operation says. Its error is thrown. */
function executeResponse(answer: Uint8Array | undefined): ExecuteResponse {
  if (answer === undefined) throw new WrongAnswer("a stream without an operation");
  const { done, result } = fromBinary(OperationSchema, answer);
  if (!done) throw new WrongAnswer("the stream ended before the operation was done");
  if (result.case === "error") throw statusError(result.value.code, result.value.message);
  const response = result.case === "response" ? anyUnpack(result.value, ExecuteResponseSchema) : undefined;
  if (response === undefined) throw new WrongAnswer("a done operation without an ExecuteResponse");
  const { code, message } = response.status ?? { code: 0, message: "" };
  if (code !== 0) throw statusError(code, message);
  return response;
}

/** The header by which a client says which build a call belongs to. */
function requestMetadata(toolInvocationId: string): CallHeaders {
  const metadata = create(RequestMetadataSchema, {
    toolDetails: { toolName: "remex-bench", toolVersion: "1" },
    toolInvocationId,
  });
  return { "build.bazel.remote.execution.v2.requestmetadata-bin": toBinary(RequestMetadataSchema, metadata) };
}
