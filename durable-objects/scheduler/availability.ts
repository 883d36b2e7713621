import { dispatchAgent } from "./dispatch.ts";
import { join, leaveGroups, refresh } from "./memberships.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent } from "./state.ts";

/** The agent takes no new lease, until it connects again and says otherwise. */
export function stopWork(state: SchedulerState, agent: Agent): void {
  agent.draining = true;
  withdraw(state, agent);
}

/** Takes the agent out of the groups that it served. */
export function withdraw(state: SchedulerState, agent: Agent): void {
  unreserve(agent);
  const groups = [...agent.groups];
  leaveGroups(agent);
  for (const group of groups) state.checkMatched(group);
}

/** Puts the agent into the groups that it can serve, and gives it work. */
export function offerWork(state: SchedulerState, agent: Agent): void {
  for (const group of state.groups.all()) join(agent, group);
  for (const group of agent.groups) state.checkMatched(group);
  dispatchAgent(state, agent);
}

/** The agent may be used so much from now on. */
export function changeCapacity(
  state: SchedulerState,
  agent: Agent,
  maxActions: number,
  capacityMilli: ReadonlyMap<string, number>,
): void {
  // It may never have room for what it was kept for.
  unreserve(agent);
  state.agents.setCapacity(agent, maxActions, new Map([...agent.capacityMilli, ...capacityMilli]));
  dispatchAgent(state, agent);
}

/** It gets nothing more until it says how much of it is free. */
export function stopGiving(agent: Agent): void {
  unreserve(agent);
  agent.maxActions = Math.min(agent.maxActions, agent.leases.size);
  refresh(agent, false);
}

function unreserve(agent: Agent): void {
  if (agent.reservedFor === undefined) return;
  agent.reservedFor.reservedAgent = undefined;
  agent.reservedFor = undefined;
}
