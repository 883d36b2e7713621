import type { Execution } from "./state.ts";
import type { SchedulerState } from "./scheduler-state.ts";

/** Puts a new execution, or one that must be done again, in its group's queue. */
export function putInQueue(state: SchedulerState, execution: Execution, turn: "first" | "last"): void {
  execution.stage = "queued";
  execution.group.queue.push(execution, turn);
  state.queued += 1;
  state.checkMatched(execution.group);
}

/** Takes a queued execution out, wherever it stands. */
export function takeFromQueue(state: SchedulerState, execution: Execution): void {
  execution.group.queue.remove(execution);
  state.queued -= 1;
  state.checkMatched(execution.group);
}

/** A better or worse priority moves a queued execution; it keeps its queue time, and its group its deadline. */
export function setPriority(execution: Execution, priority: number): void {
  const queued = execution.stage === "queued";
  if (queued) execution.group.queue.remove(execution);
  execution.priority = priority;
  if (queued) execution.group.queue.push(execution, "last");
}
