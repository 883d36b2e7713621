import { fits, matches } from "./platform.ts";
import type { Agent, Group, Membership } from "./state.ts";

/*
 * Which groups each agent can serve, and for which of them it is free right now. A change of one agent costs O(the groups
 * that it serves).
 */

/** Makes the agent a member of the group, if it can serve it and takes work at all. */
export function join(agent: Agent, group: Group): void {
  if (!agent.connected || agent.draining || !matches(group.requirement, agent.offer)) return;
  const membership: Membership = {
    agent,
    group,
    indexInAgent: agent.memberships.length,
    indexInGroup: group.members.length,
    available: false,
    previous: undefined,
    next: undefined,
  };
  agent.memberships.push(membership);
  agent.groups.push(group);
  group.members.push(membership);
  setAvailable(membership, isFree(agent, group));
}

export function leaveGroups(agent: Agent): void {
  for (const membership of agent.memberships) {
    setAvailable(membership, false);
    const { group, indexInGroup } = membership;
    const last = group.members.pop();
    if (last === undefined || last === membership) continue;
    group.members[indexInGroup] = last;
    last.indexInGroup = indexInGroup;
  }
  agent.memberships.length = 0;
  agent.groups.length = 0;
}

/** A group that is not kept any more. */
export function dissolve(group: Group): void {
  for (const membership of group.members) {
    setAvailable(membership, false);
    const { agent, indexInAgent } = membership;
    const last = agent.memberships.pop();
    const lastGroup = agent.groups.pop();
    if (last === undefined || lastGroup === undefined || last === membership) continue;
    agent.memberships[indexInAgent] = last;
    agent.groups[indexInAgent] = lastGroup;
    last.indexInAgent = indexInAgent;
  }
  group.members.length = 0;
}

/** Brings up to date where the agent is free. One that has just been given work goes to the end of its groups' order. */
export function refresh(agent: Agent, hasBeenUsed: boolean): void {
  for (let index = 0; index < agent.groups.length; index += 1) {
    const group = agent.groups[index];
    const free = group !== undefined && isFree(agent, group);
    // Most agents are free nowhere most of the time: then their memberships aren't even looked at.
    if (!free && agent.availableIn === 0) continue;
    const membership = agent.memberships[index];
    if (membership === undefined) continue;
    if (hasBeenUsed) setAvailable(membership, false);
    setAvailable(membership, free);
  }
}

/** Whether the agent, which can serve the group, has room for one of its executions now and isn't kept for another's. */
export function canTake(agent: Agent, group: Group): boolean {
  return (
    hasSlot(agent) &&
    (agent.reservedFor === undefined || agent.reservedFor === group) &&
    fits(group.requirement, agent.freeMilli)
  );
}

export function hasSlot(agent: Agent): boolean {
  return agent.connected && !agent.draining && agent.leases.size < agent.maxActions;
}

/** What waits has its turn first: nobody is free for a new execution before that. */
function isFree(agent: Agent, group: Group): boolean {
  return group.queue.size === 0 && canTake(agent, group);
}

function setAvailable(membership: Membership, available: boolean): void {
  if (membership.available === available) return;
  const { agent, group } = membership;
  membership.available = available;
  agent.availableIn += available ? 1 : -1;
  if (available) group.available.append(membership);
  else group.available.remove(membership);
}
