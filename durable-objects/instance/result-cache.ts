import type { ExecuteResponse } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { ExecutionRequest } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { ActionCache } from "../../src/action-cache/action-cache.ts";
import { digestFromWire, requestDigestFunction } from "../../src/digest/digest.ts";

/** Puts an execution's result into the instance's action cache. */
export async function cacheResult(
  cache: ActionCache,
  request: ExecutionRequest,
  response: ExecuteResponse,
): Promise<void> {
  if (response.result === undefined) return;
  const digestFunction = requestDigestFunction(request.digestFunction, request.actionDigest?.hash);
  await cache.put(
    digestFromWire(digestFunction, request.actionDigest, "action_digest"),
    response.result,
    request.resultsCachePriority,
  );
}
