import {
  MAX_IDLE_GROUPS,
  MAX_HOLDINGS,
  MAX_REMEMBERED_FAILURES,
} from "../../../../durable-objects/scheduler/limits.ts";
import { operationsOf } from "../../../../durable-objects/scheduler/operations.ts";
import type { SchedulerState } from "../../../../durable-objects/scheduler/scheduler-state.ts";
import type { Agent, Group } from "../../../../durable-objects/scheduler/state.ts";
import { fits } from "../../../../durable-objects/scheduler/platform.ts";
import { hold } from "./violation.ts";

/** What is kept in several places says the same in each, and nothing is kept that has no bound. */
export function checkStructure(state: SchedulerState): void {
  const groups = new Set(state.groups.all());
  const agents = [...state.agents.all()];
  for (const group of groups) checkGroup(group);
  for (const agent of agents) checkAgent(agent, groups);
  checkExecutions(state);
  hold(
    [...groups].filter(({ executions }) => executions === 0).length <= MAX_IDLE_GROUPS,
    "idle platforms are bounded",
    () => `${groups.size}`,
  );
  for (const holders of [state.agents.inputRoots, state.agents.targets]) {
    hold(holders.size <= MAX_HOLDINGS, "what is remembered of agents' caches is bounded", () => `${holders.size}`);
  }
  hold(state.spent.size <= MAX_REMEMBERED_FAILURES, "remembered failures are bounded", () => `${state.spent.size}`);
  hold(
    state.joined.size <= state.limits.maxQueuedActions,
    "merged operations are bounded",
    () => `${state.joined.size}`,
  );
}

function checkGroup(group: Group): void {
  const { key } = group.requirement;
  if (group.queue.size > 0) hold(group.available.size === 0, "nobody is free for a platform that waits", () => key);
  let available = 0;
  for (const membership of group.members) {
    hold(membership.group === group, "members know their platform", () => key);
    const { agent, indexInAgent, indexInGroup } = membership;
    hold(group.members[indexInGroup] === membership, "members know their place", () => key);
    hold(agent.memberships[indexInAgent] === membership, "members know that they are", () => key);
    hold(agent.groups[indexInAgent] === group, "agents know their platforms", () => key);
    if (membership.available) available += 1;
  }
  hold(
    available === group.available.size,
    "the free members are listed",
    () => `${available}, ${group.available.size}`,
  );
  const { reservedAgent } = group;
  if (reservedAgent === undefined) return;
  hold(reservedAgent.reservedFor === group, "who is kept knows for whom", () => key);
  hold(group.queue.size > 0, "nobody is kept for nothing", () => key);
  hold(
    reservedAgent.memberships.some((membership) => membership.group === group),
    "who is kept could serve",
    () => key,
  );
  hold(!fits(group.requirement, reservedAgent.freeMilli), "who is kept has no room yet", () => key);
}

function checkAgent(agent: Agent, groups: ReadonlySet<Group>): void {
  const { id, memberships, leases, silence } = agent;
  if (agent.reservedFor !== undefined)
    hold(agent.reservedFor.reservedAgent === agent, "a platform knows who is kept", () => id);
  hold((silence !== undefined) === leases.size > 0, "the silence of an agent with leases counts", () => id);
  hold(agent.connected || leases.size > 0, "an agent that is gone is kept for its leases only", () => id);
  if (!agent.connected || agent.draining)
    hold(memberships.length === 0, "who takes nothing is a member of nothing", () => id);
  hold(memberships.length === agent.groups.length, "agents know their platforms", () => id);
  let availableIn = 0;
  for (const { group, available } of memberships) {
    if (available) availableIn += 1;
    hold(groups.has(group), "only platforms that are kept have members", () => id);
    const hasSlot = leases.size < agent.maxActions;
    const isKept = agent.reservedFor !== undefined && agent.reservedFor !== group;
    const can = hasSlot && !isKept && fits(group.requirement, agent.freeMilli);
    hold(available === can, "an agent is free for what it has room for", () => `${id}: ${group.requirement.key}`);
  }
  hold(availableIn === agent.availableIn, "agents know where they are free", () => id);
}

function checkExecutions(state: SchedulerState): void {
  let queued = 0;
  let joined = 0;
  let mergeable = 0;
  let deadlines = 0;
  for (const execution of state.executions.values()) {
    if (execution.stage === "queued") queued += 1;
    if (execution.stage === "finishing") deadlines += 1;
    if (execution.mergeable) {
      mergeable += 1;
      hold(state.mergeable.get(execution.actionKey) === execution, "mergeable actions are found", () => execution.id);
    }
    for (const operation of operationsOf(execution)) {
      if (operation.id !== execution.id) joined += 1;
      if ((operation.abandonment?.heapIndex ?? -1) >= 0) deadlines += 1;
    }
  }
  for (const { leases } of state.agents.all()) deadlines += leases.size + (leases.size > 0 ? 1 : 0);
  let inQueues = 0;
  for (const group of state.groups.all()) {
    inQueues += group.queue.size;
    if (group.unmatched !== undefined) deadlines += 1;
  }
  hold(
    state.queued === queued && inQueues === queued,
    "what is queued is in one queue",
    () => `${queued}, ${inQueues}`,
  );
  hold(
    state.joined.size === joined,
    "merged operations are kept while they live",
    () => `${state.joined.size}, ${joined}`,
  );
  hold(
    state.mergeable.size === mergeable,
    "ended actions are not merged with",
    () => `${state.mergeable.size}, ${mergeable}`,
  );
  hold(state.deadlines.size === deadlines, "no deadline is left over", () => `${state.deadlines.size}, ${deadlines}`);
}
