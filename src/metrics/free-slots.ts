import type { AgentCounts } from "../../durable-objects/scheduler/counts.ts";

/**
 * How many leases the agents of an instance could take. An agent is connected to each of the scheduler's shards and grants
 * all of them what it has free, so it counts once: for the least that a shard knows of, since another may just have given
 * it a lease.
 */
export function freeSlotsOf(shards: readonly AgentCounts[]): number {
  const byAgent = new Map<string, number>();
  let others = 0;
  for (const { freeSlots, freeSlotsByAgent } of shards) {
    // Of the version before, which does not tell them apart.
    if (freeSlotsByAgent === undefined) others = Math.max(others, freeSlots);
    for (const { agentId, freeSlots } of freeSlotsByAgent ?? []) {
      byAgent.set(agentId, Math.min(freeSlots, byAgent.get(agentId) ?? Infinity));
    }
  }
  const known = [...byAgent.values()].reduce((sum, free) => sum + free, 0);
  return Math.max(known, others);
}
