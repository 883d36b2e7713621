import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { CacheUsage } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import {
  type KnownExecution,
  KnownExecutionSchema,
  KnownExecutionsSchema,
  type OperationInspection,
  OperationInspectionSchema,
  WaitingSchema,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { AgentLoad } from "../scheduler/agent-loads.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { Waiting } from "../scheduler/waiting.ts";
import type { ActionIdentity } from "./action-identity.ts";
import type { AgentConversations } from "./agent-conversations.ts";
import type { AgentSockets } from "./agent-sockets.ts";
import type { History } from "./history.ts";
import { knownExecution } from "./known-execution.ts";
import type { InstanceMetrics } from "./metrics.ts";
import type { Operations } from "./operations.ts";
import type { InstanceStorage } from "./storage.ts";

/** How a shard stands. */
export interface InstanceOverview extends ExecutionsOverview {
  readonly metrics: InstanceMetrics;
}

/** Serialized KnownExecutions. */
export interface ExecutionsOverview {
  /** The latest lease first. */
  readonly running: Uint8Array;
  /** The first to come first. */
  readonly queued: Uint8Array;
  /** The last to end first. */
  readonly ended: Uint8Array;
}

/** An agent, as people are shown it. */
export interface AgentInspection extends AgentLoad {
  readonly version: string;
  readonly properties: readonly { readonly name: string; readonly value: string }[];
  /** What its cache of input files holds, by its last word; undefined if it doesn't say. */
  readonly cache?: { readonly files: number; readonly bytes: number; readonly maxBytes: number };
}

export interface InspectionParts {
  /** Only asked. */
  readonly scheduler: Scheduler;
  readonly storage: InstanceStorage;
  readonly operations: Operations;
  readonly history: History;
  readonly agents: AgentSockets;
  readonly conversations: AgentConversations;
}

/** What people ask of the object. Changes nothing. */
export class Inspection {
  readonly #parts: InspectionParts;

  constructor(parts: InspectionParts) {
    this.#parts = parts;
  }

  /** Undefined if the operation is not known any more, or never was. */
  operation(operationId: string): OperationInspection | undefined {
    const { history, scheduler, storage } = this.#parts;
    const joined = storage.joinedOperation(operationId);
    const executionId = joined?.executionId ?? operationId;
    const execution = this.#stored(executionId) ?? history.ofOperation(operationId);
    if (execution === undefined) return undefined;
    const inspection = create(OperationInspectionSchema, { execution });
    if (joined?.error !== undefined) inspection.error = fromBinary(StatusSchema, joined.error);
    const waiting = scheduler.waiting(executionId);
    if (waiting !== undefined) inspection.waiting = waitingMessage(waiting);
    return inspection;
  }

  executions(limit: number): ExecutionsOverview {
    const { history, scheduler } = this.#parts;
    const { queued, running } = scheduler.live(limit);
    return { running: this.#all(running), queued: this.#all(queued), ended: serialized(history.latest(limit)) };
  }

  invocation(invocationId: string, limit: number): Uint8Array {
    const { history, scheduler } = this.#parts;
    const live = scheduler.liveOfInvocation(invocationId, limit).flatMap((id) => this.#stored(id) ?? []);
    const known = new Set(live.map(({ executionId }) => executionId));
    // One that has a result is live until that is in the action cache.
    const ended = history.ofInvocation(invocationId, limit).filter(({ executionId }) => !known.has(executionId));
    return serialized([...live, ...ended].slice(0, limit));
  }

  lastOf(identity: ActionIdentity, beforeMs: number): Uint8Array | undefined {
    const known = this.#parts.history.lastOf(identity, beforeMs);
    return known && toBinary(KnownExecutionSchema, known);
  }

  agents(): AgentInspection[] {
    const { agents, conversations, scheduler } = this.#parts;
    return scheduler.agentLoads().map((load) => {
      const hello = conversations.hello(load.id);
      return {
        ...load,
        lastHeardMs: Math.max(load.lastHeardMs, agents.lastHeartbeatMs(load.id) ?? 0),
        version: hello?.version ?? "",
        properties: (hello?.platform?.properties ?? []).map(({ name, value }) => ({ name, value })),
        ...(hello?.cache && { cache: cacheUsage(hello.cache) }),
      };
    });
  }

  #all(executionIds: readonly string[]): Uint8Array {
    return serialized(executionIds.flatMap((id) => this.#stored(id) ?? []));
  }

  /** An execution that has its own row still. */
  #stored(executionId: string): KnownExecution | undefined {
    const { operations, storage } = this.#parts;
    const request = storage.executionRequest(executionId);
    const record = storage.executionRecord(executionId);
    if (request === undefined || record === undefined) return undefined;
    const known = knownExecution(executionId, request, record);
    const progress = operations.progress(executionId);
    if (progress !== undefined) known.progress = progress;
    return known;
  }
}

function serialized(executions: KnownExecution[]): Uint8Array {
  return toBinary(KnownExecutionsSchema, create(KnownExecutionsSchema, { executions }));
}

function cacheUsage({ bytes, files, maxBytes }: CacheUsage): NonNullable<AgentInspection["cache"]> {
  return { files: Number(files), bytes: Number(bytes), maxBytes: Number(maxBytes) };
}

function waitingMessage({ active, agents, ahead, mismatch = "", refusedAtMs }: Waiting) {
  return create(WaitingSchema, {
    active,
    agents,
    ahead,
    mismatch,
    ...(refusedAtMs !== undefined && { refusedAt: timestampFromMs(refusedAtMs) }),
  });
}
