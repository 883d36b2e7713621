import { stopAwaitingClient } from "./abandonment.ts";
import { releaseReservation } from "./dispatch.ts";
import type { Failure } from "./events.ts";
import { bestPriority, removeOperation } from "./operations.ts";
import { setPriority, takeFromQueue } from "./queueing.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Execution, Group, Lease, Operation } from "./state.ts";

/** The execution is over, with a result. */
export function complete(state: SchedulerState, execution: Execution): void {
  state.clear(execution.lease?.deadline);
  drop(state, execution);
  state.decide({ type: "completed", executionId: execution.id });
}

/** The execution is over, without a result; what still runs of it is cancelled. */
export function fail(state: SchedulerState, execution: Execution, failure: Failure): void {
  const { group, lease } = execution;
  const wasQueued = execution.stage === "queued";
  if (wasQueued) takeFromQueue(state, execution);
  drop(state, execution);
  state.decide({ type: "failed", executionId: execution.id, failure });
  if (lease !== undefined) abandonLease(state, lease, failure.message);
  if (wasQueued) releaseReservation(state, group);
}

/** One client's operation is over; its execution goes on if others wait for it. */
export function endOperation(state: SchedulerState, operation: Operation, failure: Failure): void {
  const { execution } = operation;
  if (execution.operation?.next === undefined) {
    fail(state, execution, failure);
    return;
  }
  stopAwaitingClient(state, operation);
  removeOperation(execution, operation);
  state.joined.delete(operation.id);
  state.decide({ type: "operation_ended", executionId: execution.id, operationId: operation.id, failure });
  setPriority(execution, bestPriority(execution));
}

/** Nobody wants the lease any more. It keeps its share of the agent until the agent says that its processes are gone. */
export function abandonLease(state: SchedulerState, lease: Lease, why: string): void {
  lease.execution = undefined;
  state.clear(lease.deadline);
  const atMs = state.nowMs + state.limits.workerTimeoutMs;
  lease.deadline = state.await({ atMs, duty: "end_lease", subject: lease, heapIndex: -1 });
  state.decide({ type: "cancel_lease", agentId: lease.agent.id, leaseId: lease.id, why });
}

/** Every execution that waits for a platform that nobody has offered for long. */
export function failUnmatched(state: SchedulerState, group: Group): void {
  const message = state.describeMismatch(group);
  group.refusal = { untilMs: state.nowMs + state.limits.failureMemoryMs, message };
  for (const execution of [...group.queue]) {
    fail(state, execution, { reason: "no_agent", message });
  }
}

/** Forgets the ended executions whose time has come. */
export function forgetEnded(state: SchedulerState): void {
  for (;;) {
    const executionId = state.ended.takeDue(state.nowMs);
    if (executionId === undefined) return;
    state.decide({ type: "forget", executionId });
  }
}

function drop(state: SchedulerState, execution: Execution): void {
  state.executions.delete(execution.id);
  if (state.mergeable.get(execution.actionKey) === execution) state.mergeable.delete(execution.actionKey);
  for (let { operation } = execution; operation !== undefined; operation = operation.next) {
    stopAwaitingClient(state, operation);
    state.joined.delete(operation.id);
  }
  state.leaveGroup(execution.group);
  state.ended.add(execution.id, state.nowMs + state.limits.retainCompletedForMs);
}
