import type { SchedulerState } from "./scheduler-state.ts";

/*
 * Most deadlines follow from what is kept of executions. Those that don't are counted from the start of a clock that is
 * kept by name. An object is evicted from memory after seconds without events, so a deadline that began anew with each
 * restart would never come.
 */

/** No client waits for the operation. */
export function unwatchedClock(operationId: string): string {
  return `unwatched/${operationId}`;
}

/** The agent has leases, and no socket. */
export function disconnectedClock(agentId: string): string {
  return `disconnected/${agentId}`;
}

/** Executions wait for the platform, and no agent could serve it. */
export function unmatchedClock(platformKey: string): string {
  return `unmatched/${platformKey}`;
}

/** Starts a clock, or takes over the one that ran before the restart. Returns since when it runs. */
export function startClock(state: SchedulerState, name: string): number {
  const restoredMs = state.restoredClocks.get(name);
  if (restoredMs !== undefined) {
    state.restoredClocks.delete(name);
    return restoredMs;
  }
  state.decide({ type: "clock", name, sinceMs: state.nowMs });
  return state.nowMs;
}

export function stopClock(state: SchedulerState, name: string): void {
  state.decide({ type: "clock", name, sinceMs: undefined });
}
