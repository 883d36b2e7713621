import { create } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type ActionResult,
  type ExecuteRequest,
  ExecuteResponseSchema,
  type Execution,
  ExecutionStage_Value as Stage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Operation } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { ExecutionRequestSchema } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { operationMessage } from "../execution/operation-message.ts";
import { inlineOutputs } from "../action-cache/inline-outputs.ts";
import { type Digest, digestFromWire, digestToWire, requestDigestFunction } from "../digest/digest.ts";
import type { Env } from "../env.ts";
import { repeatWhileQuiet } from "../execution/keep-alive.ts";
import { readAction } from "../execution/read-action.ts";
import { requestMetadata } from "../execution/request-metadata.ts";
import { locateOperation } from "../instance-object/instance-objects.ts";
import { formatOperationName, type OperationName } from "../instance-object/operation-name.ts";
import { watchOperation } from "../instance-object/watch-operation.ts";
import { type ServedInstance, serveInstance } from "../served-instance.ts";

export function executionService(env: Env): ServiceImpl<typeof Execution> {
  return {
    async *execute(request, context) {
      const instance = serveInstance(env, request.instanceName);
      const digestFunction = requestDigestFunction(
        request.digestFunction,
        request.actionDigest?.hash,
        instance.digestFunctions,
      );
      const actionDigest = digestFromWire(digestFunction, request.actionDigest, "action_digest");
      const operation = { instanceName: request.instanceName, shard: 0, id: crypto.randomUUID() };

      const cached = request.skipCacheLookup ? undefined : await instance.actionCache.get(actionDigest);
      if (cached !== undefined) {
        await inlineOutputs(cached, request, instance.blobs, digestFunction);
        yield cachedOperation(operation, actionDigest, cached);
        return;
      }

      const metadata = requestMetadata(context.requestHeader);
      const execution = await readAction(instance, actionDigest, request.executionPolicy?.timeout, metadata);
      const enqueue = {
        operationName: formatOperationName(operation),
        request: execution,
        priority: request.executionPolicy?.priority ?? 0,
        toolInvocationId: metadata?.toolInvocationId ?? "",
      };
      for await (const state of watch(env, operation, { case: "enqueue", value: enqueue }, context)) {
        yield state.done ? await withInlinedOutputs(state, request, instance, actionDigest) : state;
      }
    },

    async *waitExecution({ name }, context) {
      const operation = locateOperation(env, name);
      yield* watch(env, operation, { case: "attach", value: { operationName: name } }, context);
    },
  };
}

async function* watch(
  env: Env,
  operation: OperationName,
  first: Parameters<typeof watchOperation>[2],
  context: HandlerContext,
): AsyncGenerator<Operation, void, undefined> {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, context.signal]);
  try {
    yield* repeatWhileQuiet(watchOperation(env, operation, first, signal));
  } finally {
    over.abort();
  }
}

/** A hit needs no scheduler: the operation is over before anybody could ask for it by its name. */
function cachedOperation(name: OperationName, actionDigest: Digest, result: ActionResult): Operation {
  const request = create(ExecutionRequestSchema, {
    digestFunction: actionDigest.digestFunction.value,
    actionDigest: digestToWire(actionDigest),
  });
  const response = create(ExecuteResponseSchema, { result, cachedResult: true });
  return operationMessage(formatOperationName(name), request, { stage: Stage.COMPLETED, response });
}

/** Merged operations share a result, but each client says for itself what it wants inlined. */
async function withInlinedOutputs(
  operation: Operation,
  wanted: ExecuteRequest,
  { blobs }: ServedInstance,
  { digestFunction }: Digest,
): Promise<Operation> {
  if (operation.result.case !== "response") return operation;
  const response = anyUnpack(operation.result.value, ExecuteResponseSchema);
  if (response?.result === undefined) return operation;
  await inlineOutputs(response.result, wanted, blobs, digestFunction);
  operation.result.value = anyPack(ExecuteResponseSchema, response);
  return operation;
}
