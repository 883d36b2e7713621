import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type {
  ActionCache,
  ActionResult,
  Digest as WireDigest,
  DigestFunction_Value,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { authorizedInstance } from "../access/authorized-instance.ts";
import { smallOutputBytes } from "../action-cache/small-outputs-header.ts";
import { digestFromWire, digestKey, requestDigestFunction, type Digest } from "../digest/digest.ts";
import type { Env } from "../env.ts";
import { requestMetadata } from "../execution/request-metadata.ts";
import type { ServedInstance } from "../served-instance.ts";

export function actionCacheService(env: Env): ServiceImpl<typeof ActionCache> {
  return {
    async getActionResult(request, context): Promise<ActionResult> {
      const instance = authorizedInstance(env, context, request.instanceName, "read-action-results");
      const actionDigest = parseActionDigest(instance, request);
      const { inlineStdout, inlineStderr, inlineOutputFiles } = request;
      const everyFileUpToBytes = smallOutputBytes(context.requestHeader);
      const wanted = { inlineStdout, inlineStderr, inlineOutputFiles, everyFileUpToBytes };
      const invocationId = requestMetadata(context.requestHeader)?.toolInvocationId;
      const result = await instance.actionCache.get(actionDigest, wanted, invocationId);
      if (result === undefined) {
        throw new ConnectError(`no result of action ${digestKey(actionDigest)} is cached`, Code.NotFound);
      }
      return result;
    },

    async updateActionResult(request, context): Promise<ActionResult> {
      const instance = authorizedInstance(env, context, request.instanceName, "write-action-results");
      const actionDigest = parseActionDigest(instance, request);
      const { actionResult } = request;
      if (actionResult === undefined) throw new ConnectError("action_result is not set", Code.InvalidArgument);
      await instance.actionCache.put(actionDigest, actionResult, request.resultsCachePolicy?.priority);
      return actionResult;
    },
  };
}

function parseActionDigest(
  { digestFunctions }: ServedInstance,
  { actionDigest, digestFunction }: { actionDigest?: WireDigest | undefined; digestFunction: DigestFunction_Value },
): Digest {
  const parsedFunction = requestDigestFunction(digestFunction, actionDigest?.hash, digestFunctions);
  return digestFromWire(parsedFunction, actionDigest, "action_digest");
}
