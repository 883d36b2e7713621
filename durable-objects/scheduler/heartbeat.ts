import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent } from "./state.ts";

/** The agent was alive at `atMs`. */
export function hear(state: SchedulerState, agent: Agent, atMs: number): void {
  agent.lastHeardMs = Math.max(agent.lastHeardMs, atMs);
  if (agent.silence === undefined) return;
  agent.silence = state.deadline(agent.silence, agent.lastHeardMs + state.limits.workerTimeoutMs, {
    of: "silence",
    agent,
  });
}
