import { stopGiving, stopWork } from "./availability.ts";
import { hear } from "./heartbeat.ts";
import { dispatchAgent, dispatchExecution } from "./dispatch.ts";
import { removeIfGone } from "./departures.ts";
import { abandonLease, fail } from "./endings.ts";
import type { LeaseOutcome, LeasePhase } from "./events.ts";
import { MAX_FAILURE_LENGTH, MAX_LEASES_WITH_RETURNS, PUBLISH_TIMEOUT_MS } from "./limits.ts";
import { putInQueue } from "./queueing.ts";
import type { SchedulerState } from "./scheduler-state.ts";
import type { Agent, Execution, Lease } from "./state.ts";

/** How an execution that has lost its lease goes on. */
type Loss =
  /** The attempt counts: `message` says what went wrong, and where. */
  | { readonly kind: "failed_attempt"; readonly message: string; readonly agent: Agent }
  /** The machine did nothing wrong: the attempt doesn't count, unless that goes on for ever. */
  | { readonly kind: "returned"; readonly message: string; readonly agent: Agent }
  /** The agent has no room, and gets nothing more until it says that it has. */
  | { readonly kind: "declined"; readonly message: string };

export function progress(state: SchedulerState, agentId: string, leaseId: string, phase: LeasePhase): void {
  const agent = state.agents.get(agentId);
  if (agent !== undefined) hear(agent, state.nowMs);
  const lease = agent?.leases.get(leaseId);
  if (lease?.execution === undefined || lease.phase === phase) return;
  lease.phase = phase;
  state.decide({ type: "progressed", executionId: lease.execution.id });
}

/** An agent says that a lease is over. What it says of a lease that isn't its own any more changes nothing. */
export function endLease(
  state: SchedulerState,
  agentId: string,
  leaseId: string,
  outcome: LeaseOutcome,
  message: string,
): void {
  const agent = state.agents.get(agentId);
  const lease = agent?.leases.get(leaseId);
  if (agent === undefined || lease === undefined) {
    state.decide({ type: "acknowledge", agentId, leaseId });
    return;
  }
  hear(agent, state.nowMs);
  const { execution } = lease;
  release(state, lease);
  if (execution !== undefined) {
    switch (outcome) {
      case "completed":
      case "timed_out":
      case "refused":
        execution.stage = "finishing";
        lease.deadline = state.await({
          atMs: state.nowMs + PUBLISH_TIMEOUT_MS,
          duty: "complete_execution",
          subject: execution,
          heapIndex: -1,
        });
        state.decide({ type: "publish", executionId: execution.id, leaseId, tookMs: state.nowMs - lease.startedAtMs });
        break;
      case "infrastructure_failure":
        lose(state, execution, { kind: "failed_attempt", message: `agent ${agent.name}: ${message}`, agent });
        break;
      case "handed_back":
        // It hands back because it drains. One that only says so must not get the same lease again and again.
        stopWork(state, agent);
        lose(state, execution, { kind: "returned", message: `agent ${agent.name} handed it back: ${message}`, agent });
        break;
      case "busy":
        // It is full with leases of other schedulers.
        stopGiving(agent);
        lose(state, execution, { kind: "declined", message: `agent ${agent.name} was full` });
        break;
      case "cancelled":
        // The scheduler cancels only what no execution waits for any more, so the agent did this by itself.
        lose(state, execution, {
          kind: "failed_attempt",
          message: `agent ${agent.name} cancelled it by itself`,
          agent,
        });
        break;
    }
  }
  state.decide({ type: "acknowledge", agentId, leaseId });
  dispatchAgent(state, agent);
  removeIfGone(state, agent);
}

/** A lease that the agent never got. */
export function returnLease(state: SchedulerState, lease: Lease, why = "never got it"): void {
  const { execution } = lease;
  release(state, lease);
  if (execution === undefined) return;
  const { agent } = lease;
  lose(state, execution, { kind: "returned", message: `agent ${agent.name} ${why}`, agent });
}

/** A lease whose agent is gone for good. */
export function loseLease(state: SchedulerState, lease: Lease, message: string): void {
  const { execution } = lease;
  release(state, lease);
  if (execution === undefined) return;
  lose(state, execution, { kind: "failed_attempt", message, agent: lease.agent });
}

/** The agent has said nothing of the lease for as long as it may take. */
export function expireLease(state: SchedulerState, lease: Lease): void {
  const { agent, execution } = lease;
  lease.deadline = undefined;
  if (execution === undefined) {
    // Not even a cancel was answered. Its share of the agent is given out again, or it would be lost for ever.
    release(state, lease);
    dispatchAgent(state, agent);
    removeIfGone(state, agent);
    return;
  }
  const tookMs = state.nowMs - lease.startedAtMs;
  const message = `agent ${agent.name} did not finish within ${Math.round(tookMs / 1000)} s`;
  abandonLease(state, lease, message);
  lose(state, execution, { kind: "failed_attempt", message, agent });
}

function release(state: SchedulerState, lease: Lease): void {
  const { agent } = lease;
  state.clear(lease.deadline);
  lease.deadline = undefined;
  state.agents.vacate(lease);
  if (agent.leases.size === 0) {
    state.clear(agent.silence);
    agent.silence = undefined;
  }
}

function lose(state: SchedulerState, execution: Execution, loss: Loss): void {
  execution.lease = undefined;
  const message = loss.message.slice(0, MAX_FAILURE_LENGTH);
  const isFailure =
    loss.kind === "failed_attempt" || (loss.kind === "returned" && execution.leaseCount > MAX_LEASES_WITH_RETURNS);
  if (isFailure) {
    execution.failures = [...(execution.failures ?? []), message];
    const attempts = execution.failures.length;
    if (attempts > state.limits.maxJobRetries) {
      const summary =
        `failed on ${attempts} of ${attempts} attempts (max_job_retries is ${state.limits.maxJobRetries}): ` +
        execution.failures.join("; ");
      const untilMs = state.nowMs + state.limits.failureMemoryMs;
      state.rememberSpent(execution.actionKey, summary, untilMs);
      fail(state, execution, { reason: "attempts_spent", message: summary });
      return;
    }
  }
  putInQueue(state, execution);
  state.decide({ type: "requeued", executionId: execution.id, why: message, spoiled: isFailure });
  dispatchExecution(state, execution, loss.kind === "declined" ? undefined : loss.agent);
}
