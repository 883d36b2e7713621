import { dispatchExecution } from "./dispatch.ts";
import { endOperation } from "./endings.ts";
import type { EnqueueEvent, Failure } from "./events.ts";
import { putInQueue, setPriority } from "./queueing.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Execution, Operation } from "./state.ts";

/** A client's Execute: joins an execution of the same action that is under way, or queues a new one, or is refused. */
export function enqueue(state: SchedulerState, event: EnqueueEvent): void {
  const { operationId } = event;
  // A Worker that lost its socket sends the same Enqueue again.
  if (state.operation(operationId) !== undefined || state.ended.has(operationId)) return;
  const running = event.mergeable ? state.mergeable.get(event.actionKey) : undefined;
  if (running !== undefined) {
    join(state, running, event);
    return;
  }
  const group = state.group(event.requirement);
  const failure = refusal(state, event, group.refusal);
  if (failure !== undefined) {
    state.decide({ type: "refused", operationId, failure });
    return;
  }
  const operations: Operation[] = [];
  const execution: Execution = {
    id: operationId,
    actionKey: event.actionKey,
    mergeable: event.mergeable,
    group,
    timeoutMs: event.timeoutMs,
    inputRoot: event.inputRoot,
    invocationId: event.invocationId,
    priority: event.priority,
    queuedAtMs: state.nowMs,
    sequence: state.nextSequence++,
    operations,
    stage: "queued",
    lease: undefined,
    publication: undefined,
    leaseCount: 0,
    failures: undefined,
    heapIndex: -1,
  };
  operations.push({ id: operationId, execution, priority: event.priority, abandonment: undefined });
  state.executions.set(execution.id, execution);
  if (execution.mergeable) state.mergeable.set(execution.actionKey, execution);
  state.groups.enter(group);
  putInQueue(state, execution, "last");
  state.decide({ type: "queued", executionId: execution.id });
  dispatchExecution(state, execution);
}

export function cancelOperation(state: SchedulerState, operationId: string): void {
  const operation = state.operation(operationId);
  // A result that is being made durable is a result: the cancel came too late.
  if (operation === undefined || operation.execution.stage === "finishing") return;
  endOperation(state, operation, { reason: "cancelled", message: "cancelled by CancelOperation" });
}

/** A client waits for the operation again, or none does any more: then its time runs. */
export function setWatched(state: SchedulerState, operationId: string, watched: boolean): void {
  const operation = state.operation(operationId);
  if (operation === undefined) return;
  if (watched) {
    state.clear(operation.abandonment);
    operation.abandonment = undefined;
  } else {
    operation.abandonment ??= state.deadline(undefined, state.nowMs + state.limits.clientActionTimeoutMs, {
      of: "abandonment",
      operation,
    });
  }
}

export function abandonOperation(state: SchedulerState, operation: Operation): void {
  operation.abandonment = undefined;
  if (operation.execution.stage === "finishing") return;
  endOperation(state, operation, {
    reason: "abandoned",
    message: `no client has waited for it for ${state.limits.clientActionTimeoutMs / 1000} s`,
  });
}

function join(state: SchedulerState, execution: Execution, { operationId, priority }: EnqueueEvent): void {
  const operation: Operation = { id: operationId, execution, priority, abandonment: undefined };
  execution.operations.push(operation);
  state.joined.set(operationId, operation);
  state.decide({ type: "joined", executionId: execution.id, operationId });
  setPriority(execution, Math.min(execution.priority, priority));
}

function refusal(
  state: SchedulerState,
  event: EnqueueEvent,
  unmatched: { readonly untilMs: number; readonly message: string } | undefined,
): Failure | undefined {
  const spent = state.spent.get(event.actionKey);
  if (spent !== undefined && spent.untilMs > state.nowMs) {
    return { reason: "attempts_spent", message: spent.message, retryAfterMs: spent.untilMs - state.nowMs };
  }
  if (unmatched !== undefined && unmatched.untilMs > state.nowMs) {
    return { reason: "no_agent", message: unmatched.message, retryAfterMs: unmatched.untilMs - state.nowMs };
  }
  if (state.queued >= state.limits.maxQueuedActions) {
    return {
      reason: "queue_full",
      message: `${state.queued} actions are queued, which is the limit (max_queued_actions)`,
      retryAfterMs: 1000,
    };
  }
  return undefined;
}
