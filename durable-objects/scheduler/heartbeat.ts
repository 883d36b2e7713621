import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent } from "./state.ts";

/** The agent was alive at `atMs`. What comes in late of one that has no socket is no sign of life. */
export function hear(agent: Agent, atMs: number): void {
  if (agent.connected) agent.lastHeardMs = Math.max(agent.lastHeardMs, atMs);
}

/** An agent with leases is lost when it has been silent for the worker timeout. */
export function watchSilence(state: SchedulerState, agent: Agent): void {
  state.clear(agent.silence);
  const atMs = agent.lastHeardMs + state.limits.workerTimeoutMs;
  agent.silence = state.await({ atMs, duty: "lose_agent", subject: agent, heapIndex: -1 });
}

/** Whether it has been silent for the worker timeout. If not, its silence is watched on from when it was last heard. */
export function isSilent(state: SchedulerState, agent: Agent): boolean {
  if (agent.lastHeardMs + state.limits.workerTimeoutMs <= state.nowMs) return true;
  watchSilence(state, agent);
  return false;
}
