import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent } from "./state.ts";

/** The agent was alive at `atMs`. What comes in late of one that has no socket is no sign of life. */
export function hear(state: SchedulerState, agent: Agent, atMs: number): void {
  if (!agent.connected) return;
  agent.lastHeardMs = Math.max(agent.lastHeardMs, atMs);
  if (agent.silence !== undefined) watchSilence(state, agent);
}

/** An agent with leases is lost when it has been silent for the worker timeout. */
export function watchSilence(state: SchedulerState, agent: Agent): void {
  agent.silence = state.deadline(agent.silence, agent.lastHeardMs + state.limits.workerTimeoutMs, {
    of: "silence",
    agent,
  });
}
