import { disconnectedClock, stopClock } from "./clocks.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent } from "./state.ts";

/** The agent isn't known any more. It must not have leases. */
export function removeAgent(state: SchedulerState, agent: Agent, lost: boolean, why: string): void {
  if (agent.silence !== undefined) {
    state.clear(agent.silence);
    agent.silence = undefined;
  }
  if (agent.awaited) stopClock(state, disconnectedClock(agent.id));
  state.agents.remove(agent);
  state.decide({ type: "agent_removed", agentId: agent.id, lost, why });
}

/** Without a socket, an agent is known only for the sake of its leases. */
export function removeIfGone(state: SchedulerState, agent: Agent): void {
  if (!agent.connected && agent.leases.size === 0) removeAgent(state, agent, false, "its connection was closed");
}
