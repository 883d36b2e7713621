import { awaitClient } from "./abandonment.ts";
import { stopClock, unwatchedClock } from "./clocks.ts";
import { awaitAgent } from "./connections.ts";
import { removeIfGone } from "./departures.ts";
import { dispatchAgent, hold } from "./dispatch.ts";
import { addOperation, bestPriority } from "./operations.ts";
import { putBackInQueue } from "./queueing.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { EndedSnapshot, ExecutionSnapshot, LeaseSnapshot, SchedulerSnapshot } from "./snapshot.ts";
import type { Execution, Lease, Operation } from "./state.ts";

/** Fills a new scheduler's state. Agents that are connected get work at once. */
export function restore(state: SchedulerState, snapshot: SchedulerSnapshot): void {
  state.restoredClocks = new Map(snapshot.clocks);
  for (const { description, connected, lastHeardMs } of snapshot.agents) {
    const agent = state.agents.add(description.id);
    agent.lastHeardMs = lastHeardMs;
    state.agents.describe(agent, description);
    agent.connected = connected;
  }
  for (const ended of snapshot.ended) restoreEnded(state, ended);
  const inTurn = [...snapshot.executions].sort((a, b) => a.turn - b.turn || a.sequence - b.sequence);
  for (const execution of inTurn) restoreExecution(state, execution);
  for (const agent of [...state.agents.all()]) {
    if (agent.connected) continue;
    if (agent.leases.size > 0) awaitAgent(state, agent);
    else removeIfGone(state, agent);
  }
  // Only now: each platform knows its agents since its first execution, and everything that waits is in its queue.
  for (const agent of state.agents.all()) dispatchAgent(state, agent);
  for (const name of state.restoredClocks.keys()) stopClock(state, name);
  state.restoredClocks.clear();
}

function restoreEnded(state: SchedulerState, { id, endedAtMs, spent }: EndedSnapshot): void {
  // The clock may have been set back since, and what ends from now on is forgotten in its turn.
  const sinceMs = Math.min(endedAtMs, state.nowMs);
  state.ended.add(id, sinceMs + state.limits.retainCompletedForMs);
  if (spent === undefined) return;
  const untilMs = sinceMs + state.limits.failureMemoryMs;
  if (untilMs > state.nowMs) state.rememberSpent(spent.actionKey, spent.message, untilMs);
}

function restoreExecution(state: SchedulerState, snapshot: ExecutionSnapshot): void {
  const group = state.group(snapshot.requirement);
  const execution: Execution = {
    id: snapshot.id,
    actionKey: snapshot.actionKey,
    mergeable: snapshot.mergeable,
    group,
    timeoutMs: snapshot.timeoutMs,
    inputRoot: snapshot.inputRoot,
    target: snapshot.target,
    invocationId: snapshot.invocationId,
    priority: 0,
    queuedAtMs: snapshot.queuedAtMs,
    sequence: snapshot.sequence,
    turn: snapshot.turn,
    operation: undefined,
    stage: "queued",
    lease: undefined,
    leaseCount: snapshot.leaseCount,
    failures: snapshot.failures.length > 0 ? [...snapshot.failures] : undefined,
    previous: undefined,
    next: undefined,
    heapIndex: -1,
  };
  for (const { id, priority } of snapshot.operations) {
    const operation: Operation = { id, execution, priority, abandonment: undefined, next: undefined };
    addOperation(execution, operation);
    if (state.restoredClocks.has(unwatchedClock(id))) awaitClient(state, operation);
    if (id !== execution.id) state.joined.set(id, operation);
  }
  execution.priority = bestPriority(execution);
  state.nextSequence = Math.max(state.nextSequence, snapshot.sequence + 1);
  state.executions.set(execution.id, execution);
  if (execution.mergeable) state.mergeable.set(execution.actionKey, execution);
  state.groups.enter(group);
  if (snapshot.lease === undefined || !restoreLease(state, execution, snapshot.lease)) {
    putBackInQueue(state, execution);
  }
}

/** Whether the lease's agent is known: else it is as if it had never got it. */
function restoreLease(state: SchedulerState, execution: Execution, snapshot: LeaseSnapshot): boolean {
  const agent = state.agents.get(snapshot.agentId);
  if (agent === undefined) return false;
  const lease: Lease = {
    id: snapshot.id,
    agent,
    group: execution.group,
    execution,
    phase: snapshot.phase,
    startedAtMs: snapshot.startedAtMs,
    deadline: undefined,
  };
  execution.stage = "leased";
  execution.lease = lease;
  hold(state, lease, execution.timeoutMs);
  return true;
}
