import { dispatchAgent } from "./dispatch.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent } from "./state.ts";

/** The agent takes no new lease, until it connects again and says otherwise. */
export function stopWork(state: SchedulerState, agent: Agent): void {
  agent.draining = true;
  withdraw(state, agent);
}

/** Takes the agent out of the groups that it served. */
export function withdraw(state: SchedulerState, agent: Agent): void {
  if (agent.reservedFor !== undefined) {
    agent.reservedFor.reservedAgent = undefined;
    agent.reservedFor = undefined;
  }
  const groups = agent.memberships.map(({ group }) => group);
  state.agents.leaveGroups(agent);
  for (const group of groups) state.checkMatched(group);
}

/** Puts the agent into the groups that it can serve, and gives it work. */
export function offerWork(state: SchedulerState, agent: Agent): void {
  state.agents.joinGroups(agent, state.groups.all());
  for (const { group } of agent.memberships) state.checkMatched(group);
  dispatchAgent(state, agent);
}
