import { offerWork, withdraw } from "./availability.ts";
import { disconnectedClock, startClock, stopClock } from "./clocks.ts";
import { removeAgent, removeIfGone } from "./departures.ts";
import type { AgentDescription } from "./events.ts";
import { hear, isSilent, watchSilence } from "./heartbeat.ts";
import { loseLease, returnLease } from "./leases.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent } from "./state.ts";

/** An agent said Hello. One that was here before goes on with the leases that it still holds. */
export function connectAgent(state: SchedulerState, description: AgentDescription, leaseIds: readonly string[]): void {
  const held = new Set(leaseIds);
  const agent = state.agents.get(description.id) ?? state.agents.add(description.id);
  withdraw(state, agent);
  state.agents.describe(agent, description);
  agent.connected = true;
  if (agent.awaited) stopClock(state, disconnectedClock(agent.id));
  agent.awaited = false;
  hear(agent, state.nowMs);
  // Before it is offered work, so that what it lost goes out again in its old place.
  for (const lease of [...agent.leases.values()]) if (!held.has(lease.id)) returnLease(state, lease);
  for (const leaseId of held) {
    const lease = agent.leases.get(leaseId);
    // The cancel of one that nobody wants any more may have been lost with the old socket.
    const why = lease === undefined ? "the lease is not known any more" : "nobody waits for it any more";
    if (lease?.execution === undefined) state.decide({ type: "cancel_lease", agentId: agent.id, leaseId, why });
  }
  offerWork(state, agent);
}

/** Its socket is gone. Leases wait for it to come back; without any there is nothing to wait for. */
export function disconnectAgent(state: SchedulerState, agent: Agent): void {
  if (!agent.connected) return;
  agent.connected = false;
  withdraw(state, agent);
  if (agent.leases.size > 0) awaitAgent(state, agent);
  else removeIfGone(state, agent);
}

/** It stopped. What it was given in its last moments goes to others at once, and is no failed attempt. */
export function leave(state: SchedulerState, agent: Agent): void {
  agent.connected = false;
  withdraw(state, agent);
  for (const lease of [...agent.leases.values()]) returnLease(state, lease, "stopped");
  removeIfGone(state, agent);
}

/** Its socket is gone, and it has the worker timeout from now on to come back to its leases. */
export function awaitAgent(state: SchedulerState, agent: Agent): void {
  agent.awaited = true;
  agent.lastHeardMs = startClock(state, disconnectedClock(agent.id));
  watchSilence(state, agent);
}

/** It was silent for the worker timeout: its leases go to others. */
export function loseAgent(state: SchedulerState, agent: Agent): void {
  if (!isSilent(state, agent)) return;
  const message = `agent ${agent.name} was lost: silent for ${state.limits.workerTimeoutMs / 1000} s`;
  agent.connected = false;
  withdraw(state, agent);
  for (const lease of [...agent.leases.values()]) loseLease(state, lease, message);
  removeAgent(state, agent, true, message);
}
