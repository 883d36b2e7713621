import type { SchedulerState } from "./scheduler-state.ts";

/** What an agent does now. */
export interface AgentLoad {
  readonly id: string;
  readonly name: string;
  readonly connected: boolean;
  readonly draining: boolean;
  /** By what the scheduler was told; the platform may have heard it since. */
  readonly lastHeardMs: number;
  /** Ids of the executions that it runs, the first to begin first. */
  readonly executionIds: readonly string[];
  /** With those that nobody wants any more, and whose processes are being killed. */
  readonly leases: number;
  /** How many leases it may have; undefined for as many as the minimum properties allow. */
  readonly maxActions: number | undefined;
  /** Minimum properties: what there is and what is free, in thousandths. */
  readonly resources: readonly { readonly name: string; readonly capacityMilli: number; readonly freeMilli: number }[];
}

/** Every agent that the scheduler knows. */
export function agentLoads({ agents }: SchedulerState): AgentLoad[] {
  return Array.from(agents.all(), (agent) => ({
    id: agent.id,
    name: agent.name,
    connected: agent.connected,
    draining: agent.draining,
    lastHeardMs: agent.lastHeardMs,
    executionIds: [...agent.leases.values()].flatMap(({ execution }) => execution?.id ?? []),
    leases: agent.leases.size,
    maxActions: agent.maxActions === Infinity ? undefined : agent.maxActions,
    resources: Array.from(agent.capacityMilli, ([name, capacityMilli]) => ({
      name,
      capacityMilli,
      freeMilli: agent.freeMilli.get(name) ?? 0,
    })),
  }));
}
