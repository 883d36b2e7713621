import { watchSilence } from "./heartbeat.ts";
import { canTake, hasSlot, refresh } from "./memberships.ts";
import { fits } from "./platform.ts";
import { takeFromQueue } from "./queueing.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent, Execution, Group, Lease } from "./state.ts";

/**
 * Gives an execution that has just been queued to an agent, if one is free for it.
 * @param spoiler the agent that has just failed it: any other is better
 */
export function dispatchExecution(state: SchedulerState, execution: Execution, spoiler?: Agent): void {
  const { group } = execution;
  if (group.queue.first !== execution) return;
  const agent = localAgent(state, execution, spoiler) ?? nextAvailable(state, group, spoiler);
  if (agent === undefined) return;
  lease(state, execution, agent);
  refresh(agent, true);
}

/** One that has the whole input root in its cache, or else most of it. */
function localAgent(state: SchedulerState, execution: Execution, spoiler?: Agent): Agent | undefined {
  const { group, inputRoot, target } = execution;
  const { inputRoots, targets } = state.agents;
  const holder = inputRoot === undefined ? undefined : inputRoots.available(group, inputRoot);
  const agent = holder ?? (target === undefined ? undefined : targets.available(group, target));
  return agent === spoiler ? undefined : agent;
}

function nextAvailable(state: SchedulerState, { available }: Group, spoiler?: Agent): Agent | undefined {
  if (state.limits.allocationStrategy === "least_recently_used") {
    const first = available.first;
    return (first?.agent === spoiler ? (first?.next ?? first) : first)?.agent;
  }
  const last = available.last;
  return (last?.agent === spoiler ? (last?.previous ?? last) : last)?.agent;
}

/** Gives the agent as much as it can take, after a change of what that is. */
export function dispatchAgent(state: SchedulerState, agent: Agent): void {
  let hasBeenUsed = false;
  while (hasSlot(agent)) {
    const execution = nextExecution(state, agent);
    if (execution === undefined) break;
    lease(state, execution, agent);
    hasBeenUsed = true;
  }
  refresh(agent, hasBeenUsed);
}

/** Ends the keeping of an agent for the group, whose next execution has gone. The agent is then free for others. */
export function releaseReservation(state: SchedulerState, group: Group): void {
  const agent = group.reservedAgent;
  if (agent === undefined) return;
  group.reservedAgent = undefined;
  agent.reservedFor = undefined;
  dispatchAgent(state, agent);
}

/**
 * The execution that the agent should take: by priority, then age, of those that are next in their groups. Where that one
 * doesn't fit beside what runs there, a lesser one that does, unless the first has waited for long: then the agent is kept
 * for it.
 */
function nextExecution(state: SchedulerState, agent: Agent): Execution | undefined {
  let first: Execution | undefined;
  let fitting: Execution | undefined;
  for (const group of agent.groups) {
    const head = group.queue.first;
    if (head === undefined) continue;
    if (first === undefined || comesBefore(head, first)) first = head;
    if ((fitting === undefined || comesBefore(head, fitting)) && canTake(agent, group)) fitting = head;
  }
  if (first === undefined || first === fitting || !shouldReserve(state, agent, first)) return fitting;
  agent.reservedFor = first.group;
  first.group.reservedAgent = agent;
  return undefined;
}

function shouldReserve(state: SchedulerState, agent: Agent, execution: Execution): boolean {
  return (
    agent.reservedFor === undefined &&
    execution.group.reservedAgent === undefined &&
    !fits(execution.group.requirement, agent.freeMilli) &&
    fits(execution.group.requirement, agent.capacityMilli) &&
    state.nowMs - execution.queuedAtMs >= state.limits.reserveAfterMs
  );
}

function comesBefore(a: Execution, b: Execution): boolean {
  return a.priority < b.priority || (a.priority === b.priority && a.sequence < b.sequence);
}

function lease(state: SchedulerState, execution: Execution, agent: Agent): void {
  const { group } = execution;
  takeFromQueue(state, execution);
  execution.stage = "leased";
  execution.leaseCount += 1;
  const given: Lease = {
    id: leaseId(execution.id, execution.leaseCount),
    agent,
    group,
    execution,
    phase: undefined,
    startedAtMs: state.nowMs,
    deadline: undefined,
  };
  execution.lease = given;
  hold(state, given, execution.timeoutMs);
  const { inputRoots, targets } = state.agents;
  if (execution.inputRoot !== undefined) inputRoots.remember(agent, execution.inputRoot);
  if (execution.target !== undefined) targets.remember(agent, execution.target);
  state.decide({
    type: "leased",
    executionId: execution.id,
    leaseId: given.id,
    agentId: agent.id,
    waitedMs: state.nowMs - execution.queuedAtMs,
    attempt: execution.leaseCount,
  });
  if (agent.reservedFor === group || group.reservedAgent !== undefined) releaseReservation(state, group);
}

/** The agent holds the lease from now on, for as long as its command and its transfers may take. */
export function hold(state: SchedulerState, lease: Lease, timeoutMs: number): void {
  const { agent, startedAtMs } = lease;
  state.agents.occupy(lease);
  lease.deadline = state.await({
    atMs: startedAtMs + timeoutMs + state.limits.leaseOverheadMs,
    duty: "end_lease",
    subject: lease,
    heapIndex: -1,
  });
  if (agent.silence === undefined) watchSilence(state, agent);
}

/** Unique: no two attempts of any execution share one, so a late report can't be taken for a newer attempt's. */
export function leaseId(executionId: string, leaseCount: number): string {
  return `${executionId}.${leaseCount}`;
}
