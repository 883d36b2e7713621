import type { Execution } from "./state.ts";
import type { SchedulerState } from "./scheduler-state.ts";

/** Puts a new execution, or one that must be done again, in its group's queue. */
export function putInQueue(state: SchedulerState, execution: Execution): void {
  execution.stage = "queued";
  stand(execution);
  state.queued += 1;
  state.checkMatched(execution.group);
}

/** Puts an execution where it stood before a restart. Those of one build must come in the order of their turns. */
export function putBackInQueue(state: SchedulerState, execution: Execution): void {
  const { queue } = execution.group;
  if (execution.leaseCount > 0) queue.pushBack(execution);
  else queue.restore(execution);
  state.queued += 1;
  state.checkMatched(execution.group);
}

/** Takes a queued execution out, wherever it stands. */
export function takeFromQueue(state: SchedulerState, execution: Execution): void {
  execution.group.queue.remove(execution);
  state.queued -= 1;
  state.checkMatched(execution.group);
}

/** A build joins: the execution waits where its turn comes soonest, among what that build waits for or where it is. */
export function waitWith(execution: Execution, priority: number, invocationId: string): void {
  const { queue } = execution.group;
  if (execution.stage === "queued") {
    const isSooner =
      priority < execution.priority ||
      (execution.leaseCount === 0 &&
        priority === execution.priority &&
        queue.nextTurn(priority, invocationId) < execution.turn);
    if (!isSooner) return;
    queue.remove(execution);
    execution.priority = priority;
    execution.invocationId = invocationId;
    stand(execution);
  } else {
    execution.priority = Math.min(priority, execution.priority);
  }
}

/** A build is gone: the best priority of those that are left counts. */
export function setPriority(execution: Execution, priority: number): void {
  // Its build must not lose its turn over a change that is none.
  if (priority === execution.priority) return;
  const isQueued = execution.stage === "queued";
  if (isQueued) execution.group.queue.remove(execution);
  execution.priority = priority;
  if (isQueued) stand(execution);
}

/** Work that must be done again had its turn before. */
function stand(execution: Execution): void {
  if (execution.leaseCount > 0) execution.group.queue.pushBack(execution);
  else execution.group.queue.push(execution);
}
