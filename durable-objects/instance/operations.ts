import { create, fromBinary } from "@bufbuild/protobuf";
import {
  type ExecutedActionMetadata,
  ExecutedActionMetadataSchema,
  ExecutionStage_Value as Stage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  type ListOperationsResponse,
  ListOperationsResponseSchema,
  type Operation,
} from "../../protos/gen/google/longrunning/operations_pb.ts";
import { type Status, StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import type { ExecutionRecord } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { type InstanceShard, formatOperationName } from "../../src/instance-object/operation-name.ts";
import type { OperationFilter } from "../../src/execution/operation-filter.ts";
import { operationMessage, type Standing } from "../../src/execution/operation-message.ts";
import type { InstanceStorage } from "./storage.ts";

/** The operations as clients see them, live and ended alike, read from storage. */
export class Operations {
  readonly #shard: InstanceShard;
  readonly #storage: InstanceStorage;
  /** What agents have said of the leases that run, by execution; it is worth no row, and a restart forgets it. */
  readonly #progress = new Map<string, ExecutedActionMetadata>();

  constructor(shard: InstanceShard, storage: InstanceStorage) {
    this.#shard = shard;
    this.#storage = storage;
  }

  setProgress(executionId: string, metadata: ExecutedActionMetadata): void {
    this.#progress.set(executionId, metadata);
  }

  progress(executionId: string): ExecutedActionMetadata | undefined {
    return this.#progress.get(executionId);
  }

  clearProgress(executionId: string): void {
    this.#progress.delete(executionId);
  }

  name(operationId: string): string {
    return formatOperationName({ ...this.#shard, id: operationId });
  }

  /** The operation as it stands; undefined if it is not known. */
  get(operationId: string): Operation | undefined {
    const joined = this.#storage.joinedOperation(operationId);
    const executionId = joined?.executionId ?? operationId;
    const request = this.#storage.executionRequest(executionId);
    if (request === undefined) return undefined;
    const record = this.#storage.executionRecord(executionId);
    if (record === undefined) return undefined;
    if (joined?.error !== undefined) {
      return operationMessage(this.name(operationId), request, endedStanding(joined.error, record));
    }
    if (record.operations.every((operation) => operation.operationId !== operationId)) {
      return undefined;
    }
    return operationMessage(this.name(operationId), request, this.#standing(executionId, record));
  }

  /** Forgets an operation; the execution's other operations stay. It must have ended. */
  delete(operationId: string): void {
    const executionId = this.#storage.joinedOperation(operationId)?.executionId ?? operationId;
    const record = this.#storage.executionRecord(executionId);
    if (record === undefined) return;
    this.#storage.removeJoinedOperation(operationId);
    const operations = record.operations.filter((operation) => operation.operationId !== operationId);
    if (record.end !== undefined && operations.length === 0) this.#storage.removeExecution(executionId);
    else this.#storage.updateExecution(executionId, { ...record, operations });
  }

  /** An operation that ended before its execution did. */
  ended(operationId: string, executionId: string, error: Status): Operation | undefined {
    const request = this.#storage.executionRequest(executionId);
    const record = this.#storage.executionRecord(executionId);
    const standing = { stage: Stage.COMPLETED, error, ...(record && { metadata: lastMetadata(record) }) } as const;
    return request && operationMessage(this.name(operationId), request, standing);
  }

  /** Every operation that waits for the execution, as it stands. */
  *ofExecution(executionId: string): Iterable<{ readonly id: string; readonly message: () => Operation | undefined }> {
    const record = this.#storage.executionRecord(executionId);
    if (record === undefined) return;
    const standing = this.#standing(executionId, record);
    for (const { operationId } of record.operations) {
      yield {
        id: operationId,
        message: () => {
          const request = this.#storage.executionRequest(executionId);
          return request && operationMessage(this.name(operationId), request, standing);
        },
      };
    }
  }

  /** A page of operations: those of the next `limit` executions, in the order of their ids, that pass the filter. */
  list(afterExecutionId: string, limit: number, filter: OperationFilter): ListOperationsResponse {
    const executionIds = this.#storage.executionIds(afterExecutionId, limit);
    const operations = executionIds.flatMap((executionId) => this.#matching(executionId, filter));
    const nextPageToken = executionIds.length === limit ? (executionIds.at(-1) ?? "") : "";
    return create(ListOperationsResponseSchema, { operations, nextPageToken });
  }

  #matching(executionId: string, filter: OperationFilter): Operation[] {
    const request = this.#storage.executionRequest(executionId);
    const record = this.#storage.executionRecord(executionId);
    if (request === undefined || record === undefined) return [];
    if ((filter.actionHash ?? request.actionDigest?.hash) !== request.actionDigest?.hash) return [];
    const joined = new Map(this.#storage.joinedOperationsOf(executionId).map((each) => [each.operationId, each]));
    const standing = this.#standing(executionId, record);
    const ids = new Set([...record.operations.map(({ operationId }) => operationId), ...joined.keys()]);
    return [...ids].flatMap((id) => {
      const { error, toolInvocationId = "" } = joined.get(id) ?? {};
      const own = error === undefined ? standing : endedStanding(error, record);
      const first = id === executionId ? request.requestMetadata?.toolInvocationId : undefined;
      const passes =
        (filter.stage ?? own.stage) === own.stage &&
        (filter.done ?? own.stage === Stage.COMPLETED) === (own.stage === Stage.COMPLETED) &&
        [undefined, first ?? (toolInvocationId || record.toolInvocationId)].includes(filter.toolInvocationId);
      return passes ? [operationMessage(this.name(id), request, own)] : [];
    });
  }

  #standing(executionId: string, record: ExecutionRecord): Standing {
    const { end, lease } = record;
    if (end?.result.case === "error") {
      return { stage: Stage.COMPLETED, error: end.result.value, metadata: lastMetadata(record) };
    }
    if (end?.result.case === "response") {
      const response = end.result.value;
      // A result has its own.
      return {
        stage: Stage.COMPLETED,
        response,
        ...(response.result === undefined && { metadata: lastMetadata(record) }),
      };
    }
    const metadata = create(ExecutedActionMetadataSchema, this.#progress.get(executionId));
    if (record.queuedTimestamp !== undefined) metadata.queuedTimestamp = record.queuedTimestamp;
    if (lease === undefined) return { stage: Stage.QUEUED, metadata };
    metadata.worker = lease.agentName;
    if (metadata.workerStartTimestamp === undefined && lease.startTimestamp !== undefined) {
      metadata.workerStartTimestamp = lease.startTimestamp;
    }
    return { stage: Stage.EXECUTING, metadata };
  }
}

/** An operation that ended before its execution did. */
function endedStanding(error: Uint8Array, record: ExecutionRecord): Standing {
  return { stage: Stage.COMPLETED, error: fromBinary(StatusSchema, error), metadata: lastMetadata(record) };
}

/** What is known of an execution that has come to no result: when it was queued, and where it was last. */
function lastMetadata({ lease, queuedTimestamp }: ExecutionRecord): ExecutedActionMetadata {
  return create(ExecutedActionMetadataSchema, {
    ...(queuedTimestamp && { queuedTimestamp }),
    ...(lease && { worker: lease.agentName }),
    ...(lease?.startTimestamp && { workerStartTimestamp: lease.startTimestamp }),
  });
}
