import { startClock, stopClock, unwatchedClock } from "./clocks.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Operation } from "./state.ts";

/** No client waits for the operation: it goes on for a while, for one that comes back. */
export function awaitClient(state: SchedulerState, operation: Operation): void {
  if (operation.abandonment !== undefined) return;
  const untilMs = startClock(state, unwatchedClock(operation.id)) + state.limits.clientActionTimeoutMs;
  operation.abandonment = state.await({
    atMs: untilMs,
    duty: "abandon_operation",
    subject: operation,
    heapIndex: -1,
  });
}

/** A client is back, or none is needed any more. */
export function stopAwaitingClient(state: SchedulerState, operation: Operation): void {
  if (operation.abandonment === undefined) return;
  state.clear(operation.abandonment);
  operation.abandonment = undefined;
  stopClock(state, unwatchedClock(operation.id));
}
