import type { Requirement } from "./platform.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Group } from "./state.ts";

/** How a scheduler stands at one moment. */
export interface SchedulerCounts {
  /** Platform groups with live executions. */
  readonly groups: readonly GroupCounts[];
  readonly agents: AgentCounts;
}

export interface GroupCounts {
  readonly requirement: Requirement;
  readonly queued: number;
  /** Leased, or with a result that is being made durable. */
  readonly active: number;
  /** Of those queued, when the oldest came; undefined if none is. */
  readonly oldestQueuedAtMs: number | undefined;
  /** Connected agents that could serve it. */
  readonly agents: number;
}

export interface AgentCounts {
  readonly connected: number;
  readonly draining: number;
  /** Gone for less than the worker timeout, with leases that they may still finish. */
  readonly missing: number;
  readonly leases: number;
  /** Leases that the connected agents could take beside those, as far as they say how many they take at all. */
  readonly freeSlots: number;
  /** The same of each such agent by its id, where it is asked for: an agent is connected to every shard of an instance. */
  readonly freeSlotsByAgent?: readonly FreeSlots[];
}

export interface FreeSlots {
  readonly agentId: string;
  readonly freeSlots: number;
}

/**
 * O(groups + agents + builds that wait).
 * @param byAgent whether free slots are to be told by agent, too
 */
export function countsOf({ agents, groups }: SchedulerState, byAgent: boolean): SchedulerCounts {
  const freeSlotsByAgent: FreeSlots[] = [];
  const counted = { connected: 0, draining: 0, missing: 0, leases: 0, freeSlots: 0 };
  for (const agent of agents.all()) {
    counted.leases += agent.leases.size;
    if (!agent.connected) counted.missing += 1;
    else if (agent.draining) counted.draining += 1;
    else {
      counted.connected += 1;
      if (agent.maxActions === Infinity) continue;
      const freeSlots = Math.max(agent.maxActions - agent.leases.size, 0);
      counted.freeSlots += freeSlots;
      if (byAgent) freeSlotsByAgent.push({ agentId: agent.id, freeSlots });
    }
  }
  return {
    groups: [...groups.all()].filter(({ executions }) => executions > 0).map(groupCounts),
    agents: { ...counted, ...(byAgent && { freeSlotsByAgent }) },
  };
}

function groupCounts({ executions, members, queue, requirement }: Group): GroupCounts {
  let oldestQueuedAtMs: number | undefined;
  for (const { queuedAtMs } of queue.heads()) oldestQueuedAtMs = Math.min(oldestQueuedAtMs ?? Infinity, queuedAtMs);
  return { requirement, queued: queue.size, active: executions - queue.size, oldestQueuedAtMs, agents: members.length };
}
