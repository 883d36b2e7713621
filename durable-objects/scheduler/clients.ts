import { dispatchExecution } from "./dispatch.ts";
import { awaitClient, stopAwaitingClient } from "./abandonment.ts";
import { endOperation } from "./endings.ts";
import type { EnqueueEvent, Failure } from "./events.ts";
import { MAX_OPERATIONS } from "./limits.ts";
import { addOperation, hasOperations } from "./operations.ts";
import { putInQueue, waitWith } from "./queueing.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Execution, Operation } from "./state.ts";

/** A client's Execute: joins an execution of the same action that is under way, or queues a new one, or is refused. */
export function enqueue(state: SchedulerState, event: EnqueueEvent): void {
  const { operationId } = event;
  // A Worker that lost its socket sends the same Enqueue again, perhaps after the operation's end.
  if (state.executions.has(operationId) || state.joined.has(operationId) || state.ended.has(operationId)) return;
  const running = event.mergeable ? state.mergeable.get(event.actionKey) : undefined;
  const failure = refusal(state, event, running);
  if (failure !== undefined) state.decide({ type: "refused", operationId, failure });
  else if (running !== undefined) join(state, running, event);
  else begin(state, event);
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
  if (watched) stopAwaitingClient(state, operation);
  else awaitClient(state, operation);
}

export function abandonOperation(state: SchedulerState, operation: Operation): void {
  // Its result is there, and on its way.
  if (operation.execution.stage === "finishing") return;
  endOperation(state, operation, {
    reason: "abandoned",
    message: `no client has waited for it for ${state.limits.clientActionTimeoutMs / 1000} s`,
  });
}

function begin(state: SchedulerState, event: EnqueueEvent): void {
  const { operationId } = event;
  const group = state.group(event.requirement);
  const execution: Execution = {
    id: operationId,
    actionKey: event.actionKey,
    mergeable: event.mergeable,
    group,
    timeoutMs: event.timeoutMs,
    inputRoot: event.inputRoot,
    target: event.target,
    invocationId: event.invocationId,
    priority: event.priority,
    queuedAtMs: state.nowMs,
    sequence: state.nextSequence++,
    operation: undefined,
    stage: "queued",
    lease: undefined,
    leaseCount: 0,
    failures: undefined,
    turn: 0,
    previous: undefined,
    next: undefined,
    heapIndex: -1,
  };
  addOperation(execution, operationOf(execution, event));
  state.executions.set(execution.id, execution);
  if (execution.mergeable) state.mergeable.set(execution.actionKey, execution);
  state.groups.enter(group);
  putInQueue(state, execution);
  state.decide({ type: "queued", executionId: execution.id });
  dispatchExecution(state, execution);
}

function join(state: SchedulerState, execution: Execution, event: EnqueueEvent): void {
  const { operationId, priority, invocationId } = event;
  const operation = operationOf(execution, event);
  addOperation(execution, operation);
  state.joined.set(operationId, operation);
  waitWith(execution, priority, invocationId);
  state.decide({ type: "joined", executionId: execution.id, operationId });
}

function operationOf(execution: Execution, { operationId, priority }: EnqueueEvent): Operation {
  return { id: operationId, execution, priority, abandonment: undefined, next: undefined };
}

/** Why nothing may be made of the enqueue; undefined where it may go on. */
function refusal(state: SchedulerState, event: EnqueueEvent, running: Execution | undefined): Failure | undefined {
  const { nowMs, limits } = state;
  if (running !== undefined) {
    if (hasOperations(running, MAX_OPERATIONS)) {
      const message = `${MAX_OPERATIONS} operations share this action, which is the limit`;
      return { reason: "queue_full", message, retryAfterMs: 1000 };
    }
    if (state.joined.size < limits.maxQueuedActions) return undefined;
    const message = `${state.joined.size} operations share running actions, which is the limit (max_queued_actions)`;
    return { reason: "queue_full", message, retryAfterMs: 1000 };
  }
  const remembered =
    refusedUntil("attempts_spent", state.spent.get(event.actionKey), nowMs) ??
    refusedUntil("no_agent", state.groups.get(event.requirement.key)?.refusal, nowMs);
  if (remembered !== undefined || state.queued < limits.maxQueuedActions) return remembered;
  const message = `${state.queued} actions are queued, which is the limit (max_queued_actions)`;
  return { reason: "queue_full", message, retryAfterMs: 1000 };
}

/** The same failure as a short while ago, if it is still remembered. */
function refusedUntil(
  reason: Failure["reason"],
  remembered: { readonly untilMs: number; readonly message: string } | undefined,
  nowMs: number,
): Failure | undefined {
  if (remembered === undefined || remembered.untilMs <= nowMs) return undefined;
  return { reason, message: remembered.message };
}
