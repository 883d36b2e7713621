import type { SchedulerState } from "./scheduler-state.ts";
import type { Execution } from "./state.ts";

/** Why an execution is queued still. */
export interface Waiting {
  /** How many executions of its platform group go before it. */
  readonly ahead: number;
  /** Executions of its group that are leased, or have a result that is being made durable. */
  readonly active: number;
  /** Connected agents that could run it. */
  readonly agents: number;
  /** Why no connected agent could, in words that name the property; undefined if one could. */
  readonly mismatch: string | undefined;
  /** When it will be refused for that. */
  readonly refusedAtMs: number | undefined;
}

/** Undefined unless it is queued. O(what is queued for its platform). */
export function waitingOf(state: SchedulerState, execution: Execution): Waiting | undefined {
  if (execution.stage !== "queued") return undefined;
  const { group } = execution;
  let ahead = 0;
  for (const other of group.queue) if (goesBefore(other, execution)) ahead += 1;
  return {
    ahead,
    active: group.executions - group.queue.size,
    agents: group.members.length,
    mismatch: group.members.length > 0 ? undefined : state.describeMismatch(group),
    refusedAtMs: group.unmatched?.atMs,
  };
}

/** The order of the queue: priority, then what was taken out and came back, then the turns of builds. */
function goesBefore(a: Execution, b: Execution): boolean {
  if (a.priority !== b.priority) return a.priority < b.priority;
  const [aCameBack, bCameBack] = [a, b].map(({ heapIndex }) => heapIndex >= 0);
  if (aCameBack !== bCameBack) return aCameBack === true;
  if (aCameBack === true || a.turn === b.turn) return a.sequence < b.sequence;
  return a.turn < b.turn;
}
