import { create } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type ExecuteRequest,
  type ExecuteResponse,
  ExecuteResponseSchema,
  type Execution,
  ExecutionStage_Value as Stage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Operation } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { ExecutionRequestSchema } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { authorizedInstance } from "../access/authorized-instance.ts";
import { callLogKey } from "../connect/call-log.ts";
import { executionLogFields } from "../execution/log-fields.ts";
import { operationMessage, type Standing } from "../execution/operation-message.ts";
import { inline, inliningsOf } from "../action-cache/inline-outputs.ts";
import { shardOf } from "../cache-shards/shard-map.ts";
import { type Digest, digestFromWire, digestKey, digestToWire, requestDigestFunction } from "../digest/digest.ts";
import { operationLink } from "../dashboard/operation-link.ts";
import type { Env } from "../env.ts";
import { repeatWhileQuiet } from "../execution/keep-alive.ts";
import { readAction } from "../execution/read-action.ts";
import { requestMetadata } from "../execution/request-metadata.ts";
import { openWait } from "../memory/open-calls.ts";
import { callerKey } from "../access/caller.ts";
import { locateOperation } from "../instance-object/instance-objects.ts";
import { formatOperationName, type OperationName } from "../instance-object/operation-name.ts";
import { watchOperation } from "../instance-object/watch-operation.ts";
import type { ServedInstance } from "../served-instance.ts";
import { traceparentOf } from "../tracing/trace-context.ts";
import { spanKey } from "../tracing/trace-calls.ts";

export function executionService(env: Env): ServiceImpl<typeof Execution> {
  return {
    async *execute(request, context) {
      const instance = authorizedInstance(env, context, request.instanceName, "execute");
      const digestFunction = requestDigestFunction(
        request.digestFunction,
        request.actionDigest?.hash,
        instance.digestFunctions,
      );
      const actionDigest = digestFromWire(digestFunction, request.actionDigest, "action_digest");
      // Always the same shard for an action, so that identical actions meet there and are merged.
      const shard = shardOf(actionDigest.hash, instance.config.scheduler.shards);
      const operation = { instanceName: request.instanceName, shard, id: crypto.randomUUID() };

      const metadata = requestMetadata(context.requestHeader);
      context.values.set(
        callLogKey,
        executionLogFields(formatOperationName(operation), request.actionDigest, metadata?.toolInvocationId),
      );
      if (!request.skipCacheLookup) {
        yield unqueued(operation, actionDigest, { stage: Stage.CACHE_CHECK });
        const result = await instance.actionCache.get(actionDigest, request, metadata?.toolInvocationId);
        if (result !== undefined) {
          const response = create(ExecuteResponseSchema, { result, cachedResult: true });
          yield unqueued(operation, actionDigest, { stage: Stage.COMPLETED, response });
          return;
        }
      }

      const execution = await readAction(instance, actionDigest, request.executionPolicy?.timeout, metadata);
      execution.resultsCachePriority = request.resultsCachePolicy?.priority ?? 0;
      const enqueue = {
        operationName: formatOperationName(operation),
        request: execution,
        priority: request.executionPolicy?.priority ?? 0,
        toolInvocationId: metadata?.toolInvocationId ?? "",
      };
      const span = context.values.get(spanKey);
      if (span?.isRecording() === true) {
        execution.traceparent = traceparentOf(span);
        span.setAttributes({
          "remex.operation": enqueue.operationName,
          "remex.action_digest": digestKey(actionDigest),
        });
      }
      // Until the object has it, which may be out of reach for a while.
      const before = () => unqueued(operation, actionDigest, { stage: Stage.UNKNOWN });
      for await (const state of watch(env, operation, { case: "enqueue", value: enqueue }, context, before)) {
        if (!state.done) yield state;
        else {
          yield await withResponse(state, async (response) => {
            addLink(response, operationLink(env, context.url, operation));
            await inlineWanted(response, request, instance, actionDigest);
          });
        }
      }
    },

    async *waitExecution({ name }, context) {
      const operation = locateOperation(env, context, name, "see-operations");
      for await (const state of watch(env, operation, { case: "attach", value: { operationName: name } }, context)) {
        yield await withResponse(state, (response) => {
          addLink(response, operationLink(env, context.url, operation));
        });
      }
    },
  };
}

async function* watch(
  env: Env,
  operation: OperationName,
  first: Parameters<typeof watchOperation>[2],
  context: HandlerContext,
  before?: () => Operation,
): AsyncGenerator<Operation, void, undefined> {
  const release = openWait(context.values.get(callerKey).name);
  const over = new AbortController();
  const end = () => {
    over.abort();
  };
  if (context.signal.aborted) end();
  else context.signal.addEventListener("abort", end);
  try {
    yield* repeatWhileQuiet(watchOperation(env, operation, first, over.signal), before);
  } finally {
    end();
    release();
  }
}

/** An operation that is over before the scheduler knows of it, or isn't there yet: only its own stream tells of it. */
function unqueued(name: OperationName, actionDigest: Digest, standing: Standing): Operation {
  const request = create(ExecutionRequestSchema, {
    digestFunction: actionDigest.digestFunction.value,
    actionDigest: digestToWire(actionDigest),
  });
  return operationMessage(formatOperationName(name), request, standing);
}

/** Changes the response of an operation that has one. */
async function withResponse(
  operation: Operation,
  change: (response: ExecuteResponse) => Promise<void> | void,
): Promise<Operation> {
  if (operation.result.case !== "response") return operation;
  const response = anyUnpack(operation.result.value, ExecuteResponseSchema);
  if (response === undefined) return operation;
  await change(response);
  operation.result.value = anyPack(ExecuteResponseSchema, response);
  return operation;
}

/** REAPI: the message is for people, and clients show it; Bazel does where an action has failed. */
function addLink(response: ExecuteResponse, link: string): void {
  response.message = response.message === "" ? link : `${response.message}\n${link}`;
}

/** Merged operations share a result, but each client says for itself what it wants inlined. */
async function inlineWanted(
  { result }: ExecuteResponse,
  wanted: ExecuteRequest,
  { blobs }: ServedInstance,
  { digestFunction }: Digest,
): Promise<void> {
  if (result !== undefined) await inline(inliningsOf(result, wanted, digestFunction), blobs);
}
