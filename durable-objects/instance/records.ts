import { create } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { DigestFunction_Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  type ExecutionRecord,
  ExecutionRecordSchema,
  type ExecutionRequest,
  LeaseRecordSchema,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { type PlatformRules, PropertyError, type Requirement, requirementOf } from "../scheduler/platform.ts";
import type { ExecutionSnapshot } from "../scheduler/snapshot.ts";
import { leaseId } from "../scheduler/dispatch.ts";
import { inputRootKey } from "./agent-description.ts";
import { targetOf } from "./target.ts";

/** What the scheduler is told of a request. */
export interface RequestFacts {
  readonly actionKey: string;
  readonly mergeable: boolean;
  readonly timeoutMs: number;
  readonly inputRoot: string | undefined;
  readonly target: number | undefined;
}

export function requestFacts(request: ExecutionRequest): RequestFacts {
  const { actionDigest, inputRootDigest, requestMetadata } = request;
  const timeoutMs = request.timeout === undefined ? 0 : durationMs(request.timeout);
  const digestFunction = DigestFunction_Value[request.digestFunction];
  return {
    actionKey: `${digestFunction}/${actionDigest?.hash ?? ""}/${actionDigest?.sizeBytes ?? 0n}/${timeoutMs}`,
    mergeable: !request.doNotCache,
    timeoutMs,
    inputRoot: inputRootDigest && inputRootKey(inputRootDigest.hash, inputRootDigest.sizeBytes),
    target: targetOf(requestMetadata),
  };
}

/** The row of a live execution. `agentName` is of the agent that holds its lease. */
export function executionRecord(snapshot: ExecutionSnapshot, agentName: string | undefined): ExecutionRecord {
  const { lease } = snapshot;
  const record = create(ExecutionRecordSchema, {
    operations: snapshot.operations.map(({ id, priority }) => ({ operationId: id, priority })),
    queuedTimestamp: timestampFromMs(snapshot.queuedAtMs),
    sequence: BigInt(snapshot.sequence),
    turn: BigInt(snapshot.turn),
    toolInvocationId: snapshot.invocationId,
    leaseCount: snapshot.leaseCount,
    failures: [...snapshot.failures],
  });
  if (lease !== undefined) {
    record.lease = create(LeaseRecordSchema, {
      agentId: lease.agentId,
      agentName: agentName ?? "",
      startTimestamp: timestampFromMs(lease.startedAtMs),
    });
  }
  return record;
}

/** The scheduler's side of a live execution's row. */
export function executionSnapshot(
  id: string,
  request: ExecutionRequest,
  record: ExecutionRecord,
  rules: PlatformRules,
): ExecutionSnapshot {
  const { lease } = record;
  return {
    ...requestFacts(request),
    id,
    requirement: storedRequirement(request, rules),
    invocationId: record.toolInvocationId,
    queuedAtMs: record.queuedTimestamp === undefined ? 0 : timestampMs(record.queuedTimestamp),
    sequence: Number(record.sequence),
    turn: Number(record.turn),
    operations: record.operations.map(({ operationId, priority }) => ({ id: operationId, priority })),
    leaseCount: record.leaseCount,
    failures: record.failures,
    lease: lease && {
      id: leaseId(id, record.leaseCount),
      agentId: lease.agentId,
      phase: undefined,
      startedAtMs: lease.startTimestamp === undefined ? 0 : timestampMs(lease.startTimestamp),
    },
  };
}

/** A request that was accepted stays accepted, even when a deploy has changed the rules since. */
function storedRequirement(request: ExecutionRequest, rules: PlatformRules): Requirement {
  const properties = request.platform?.properties ?? [];
  try {
    return requirementOf(properties, rules);
  } catch (error) {
    if (!(error instanceof PropertyError)) throw error;
    return requirementOf(properties, { kinds: new Map(), unlisted: "exact" });
  }
}
