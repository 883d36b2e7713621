import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Tracer } from "@opentelemetry/api";
import {
  type ExecuteResponse,
  ExecuteResponseSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import { LeaseSchema } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import {
  type EndRecord,
  EndRecordSchema,
  type ExecutionRequest,
  OutputEvent_State as OutputState,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { type ExecutionLogFields, executionLogFields } from "../../src/execution/log-fields.ts";
import { log } from "../../src/log.ts";
import type { Decision, Failure, Happening } from "../scheduler/events.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { AgentConversations } from "./agent-conversations.ts";
import type { AgentSockets } from "./agent-sockets.ts";
import type { History } from "./history.ts";
import { knownExecution } from "./known-execution.ts";
import type { Metrics } from "./metrics.ts";
import type { Operations } from "./operations.ts";
import { traceQueueWait } from "./queue-span.ts";
import type { OutputReaders } from "./output-readers.ts";
import { executionRecord } from "./records.ts";
import { failureStatus, notKept } from "./status.ts";
import type { InstanceStorage } from "./storage.ts";
import type { Watchers } from "./watchers.ts";

/** Action and Command travel in the lease while both together are below this; larger ones the agent reads from the CAS. */
const MAX_LEASE_PAYLOAD_BYTES = 512 * 1024;

/** What an event brought along that its decisions need. */
export interface Cargo {
  /** With an enqueue, and with the end of a lease. */
  readonly request?: ExecutionRequest;
  /** With the end of a lease. */
  readonly response?: ExecuteResponse;
  /** With an enqueue: RequestMetadata.tool_invocation_id of the client. */
  readonly toolInvocationId?: string;
}

export interface EffectsParts {
  readonly scheduler: Scheduler;
  readonly storage: InstanceStorage;
  readonly operations: Operations;
  readonly agents: AgentSockets;
  readonly watchers: Watchers;
  readonly readers: OutputReaders;
  readonly metrics: Metrics;
  readonly history: History;
  readonly conversations: AgentConversations;
  /** Caches the result where that is due, then reports it to the scheduler as published. */
  readonly publish: (executionId: string, request: ExecutionRequest, response: ExecuteResponse) => void;
  /** Lets the scheduler take an event and carries out what it decides. */
  readonly step: (happening: Happening) => void;
  /** Undefined where tracing is off. */
  readonly tracer: Tracer | undefined;
  readonly nowMs: () => number;
}

/**
 * Carries out what the scheduler decides: rows first, then messages. Both belong to one turn of the object, so the
 * platform lets no message out before the rows are durable.
 */
export class Effects {
  readonly #parts: EffectsParts;

  constructor(parts: EffectsParts) {
    this.#parts = parts;
  }

  carryOut(decisions: readonly Decision[], cargo: Cargo = {}): void {
    const unkept: string[] = [];
    for (const decision of decisions) {
      this.#parts.metrics.count(decision);
      try {
        this.#carryOut(decision, cargo);
      } catch (error) {
        // One decision that can't be carried out must not take the others with it.
        log.error({ decision, error }, "could not carry out a decision of the scheduler");
        if (decision.type === "queued") unkept.push(decision.executionId);
        if (decision.type === "joined") unkept.push(decision.operationId);
      }
    }
    for (const operationId of unkept) this.#refuseUnkept(operationId, decisions);
  }

  #carryOut(decision: Decision, cargo: Cargo): void {
    const { agents, operations, readers, storage, watchers } = this.#parts;
    switch (decision.type) {
      case "queued": {
        const record = this.#record(decision.executionId);
        if (record === undefined || cargo.request === undefined) return;
        storage.addExecution(decision.executionId, cargo.request, record);
        this.#tell(decision.executionId);
        return;
      }
      case "joined":
        storage.addJoinedOperation(decision.operationId, decision.executionId, cargo.toolInvocationId ?? "");
        // There may be a result already, on its way to the action cache.
        this.#save(decision.executionId, storage.executionRecord(decision.executionId)?.end);
        this.#tell(decision.executionId, decision.operationId);
        return;
      case "refused": {
        const subject = `operation ${operations.name(decision.operationId)}`;
        watchers.refuse(watchers.of(decision.operationId), failureStatus(decision.failure, subject));
        return;
      }
      case "leased":
        this.#save(decision.executionId);
        this.#sendLease(decision.executionId, decision.leaseId, decision.agentId);
        this.#tell(decision.executionId);
        return;
      case "progressed":
        this.#tell(decision.executionId);
        return;
      case "requeued":
        operations.clearProgress(decision.executionId);
        this.#save(decision.executionId);
        log.warn({ ...this.#about(decision.executionId), why: decision.why }, "action queued again");
        this.#tell(decision.executionId);
        this.#endOutput(decision.executionId, OutputState.LOST);
        return;
      case "publish": {
        const { request, response } = cargo;
        if (request === undefined || response === undefined) return;
        operations.clearProgress(decision.executionId);
        this.#end(decision.executionId, request, { case: "response", value: response });
        this.#parts.publish(decision.executionId, request, response);
        return;
      }
      case "completed":
        this.#tell(decision.executionId);
        this.#endOutput(decision.executionId, OutputState.ENDED);
        return;
      case "failed":
        operations.clearProgress(decision.executionId);
        this.#logFailure(decision.executionId, decision.failure);
        this.#fail(decision.executionId, decision.failure);
        this.#tell(decision.executionId);
        this.#endOutput(decision.executionId, OutputState.ENDED);
        return;
      case "operation_ended": {
        const { executionId, operationId, failure } = decision;
        const status = failureStatus(failure, `operation ${operations.name(operationId)}`);
        storage.endJoinedOperation(operationId, executionId, toBinary(StatusSchema, status));
        this.#save(executionId);
        const message = operations.ended(operationId, executionId, status);
        if (message !== undefined) watchers.tell(watchers.of(operationId), message);
        readers.end(operationId, OutputState.ENDED);
        return;
      }
      case "cancel_lease":
        agents.send(decision.agentId, { case: "cancel", value: { leaseId: decision.leaseId, reason: decision.why } });
        return;
      case "acknowledge":
        agents.send(decision.agentId, { case: "acknowledgement", value: { leaseId: decision.leaseId } });
        return;
      case "clock":
        if (decision.sinceMs === undefined) storage.removeClock(decision.name);
        else storage.putClock(decision.name, decision.sinceMs);
        return;
      case "agent_removed":
        this.#parts.conversations.forget(decision.agentId);
        if (decision.lost) log.warn({ agent: decision.agentId, why: decision.why }, "agent lost");
        else log.info({ agent: decision.agentId, why: decision.why }, "agent gone");
        return;
      case "forget":
        storage.removeExecution(decision.executionId);
        return;
    }
  }

  /** Without its row nothing of an operation can be told or go on. */
  #refuseUnkept(operationId: string, decisions: readonly Decision[]): void {
    const { operations, step, watchers } = this.#parts;
    watchers.refuse(watchers.of(operationId), notKept(operations.name(operationId)));
    step({ type: "cancel_operation", operationId });
    for (const decision of decisions) {
      if (decision.type !== "leased" || decision.executionId !== operationId) continue;
      // Its agent was never told of it.
      const { agentId, leaseId } = decision;
      step({ type: "lease_ended", agentId, leaseId, outcome: "cancelled", message: "" });
    }
  }

  #record(executionId: string) {
    const snapshot = this.#parts.scheduler.snapshot(executionId);
    return (
      snapshot && executionRecord(snapshot, snapshot.lease && this.#parts.conversations.name(snapshot.lease.agentId))
    );
  }

  #save(executionId: string, end?: EndRecord): void {
    const record = this.#record(executionId);
    if (end !== undefined && record !== undefined) record.end = end;
    if (record !== undefined) this.#parts.storage.updateExecution(executionId, record);
  }

  #end(executionId: string, request: ExecutionRequest, result: EndRecord["result"], spent = ""): void {
    const { history, nowMs, storage } = this.#parts;
    const before = storage.executionRecord(executionId);
    if (before === undefined) return;
    const endedAtMs = nowMs();
    const end = create(EndRecordSchema, { timestamp: timestampFromMs(endedAtMs), result, spent });
    const record = { ...before, end };
    storage.endExecution(executionId, record, endedAtMs, spent !== "");
    history.add(knownExecution(executionId, request, record));
  }

  #fail(executionId: string, failure: Failure): void {
    const request = this.#parts.storage.executionRequest(executionId);
    if (request === undefined) return;
    const status = failureStatus(failure, `operation ${this.#parts.operations.name(executionId)}`);
    // google.longrunning wants a cancelled operation to end with an error; what became of the action itself goes into
    // ExecuteResponse.status, as REAPI says.
    if (failure.reason === "cancelled" || failure.reason === "abandoned") {
      this.#end(executionId, request, { case: "error", value: status });
      return;
    }
    const response = create(ExecuteResponseSchema, { status });
    this.#end(
      executionId,
      request,
      { case: "response", value: response },
      failure.reason === "attempts_spent" ? failure.message : "",
    );
  }

  #sendLease(executionId: string, leaseId: string, agentId: string): void {
    const { agents, nowMs, operations, scheduler, storage } = this.#parts;
    const request = storage.executionRequest(executionId);
    const snapshot = scheduler.snapshot(executionId);
    if (request === undefined || snapshot === undefined) return;
    const inline = request.action.length + request.command.length <= MAX_LEASE_PAYLOAD_BYTES;
    const lease = create(LeaseSchema, {
      leaseId,
      instanceName: request.instanceName,
      digestFunction: request.digestFunction,
      timeout: durationFromMs(snapshot.timeoutMs),
      attempt: snapshot.leaseCount,
      queuedTimestamp: timestampFromMs(snapshot.queuedAtMs),
      traceparent: request.traceparent,
      operationName: operations.name(executionId),
      toolInvocationId: request.requestMetadata?.toolInvocationId ?? "",
    });
    if (inline) {
      lease.action = request.action;
      lease.command = request.command;
    }
    if (request.actionDigest !== undefined) lease.actionDigest = request.actionDigest;
    agents.send(agentId, { case: "lease", value: lease });
    traceQueueWait(this.#parts.tracer, request, {
      operationName: operations.name(executionId),
      queuedAtMs: snapshot.queuedAtMs,
      leasedAtMs: nowMs(),
      attempt: snapshot.leaseCount,
    });
  }

  #endOutput(executionId: string, state: OutputState): void {
    for (const { id } of this.#parts.operations.ofExecution(executionId)) this.#parts.readers.end(id, state);
  }

  /** A client's cancel is no news, and a full queue or a missing agent fails too many to name each. */
  #logFailure(executionId: string, { message, reason }: Failure): void {
    if (reason === "attempts_spent") log.error({ ...this.#about(executionId), why: message }, "action given up");
  }

  #about(executionId: string): ExecutionLogFields {
    const { operations, storage } = this.#parts;
    const request = storage.executionRequest(executionId);
    return executionLogFields(
      operations.name(executionId),
      request?.actionDigest,
      request?.requestMetadata?.toolInvocationId,
    );
  }

  /** Tells whoever watches an operation of the execution (or only `operationId`) how it stands. */
  #tell(executionId: string, operationId?: string): void {
    const { operations, watchers } = this.#parts;
    for (const { id, message } of operations.ofExecution(executionId)) {
      if (operationId !== undefined && id !== operationId) continue;
      const sockets = watchers.of(id);
      const operation = sockets.length > 0 ? message() : undefined;
      if (operation !== undefined) watchers.tell(sockets, operation);
    }
  }
}
