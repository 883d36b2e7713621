import { abandonOperation, cancelOperation, enqueue, setWatched } from "./clients.ts";
import { connectAgent, disconnectAgent, leave, loseAgent } from "./connections.ts";
import { hear } from "./heartbeat.ts";
import { type AgentLoad, agentLoads } from "./agent-loads.ts";
import { changeCapacity, stopWork } from "./availability.ts";
import { countsOf, type SchedulerCounts } from "./counts.ts";
import { complete, failUnmatched, forgetEnded } from "./endings.ts";
import type { Decision, SchedulerEvent } from "./events.ts";
import { endLease, expireLease, progress } from "./leases.ts";
import type { SchedulerLimits } from "./limits.ts";
import { type LiveExecutions, liveExecutions, liveOfInvocation } from "./live-executions.ts";
import { restore } from "./restore.ts";
import { SchedulerState } from "./scheduler-state.ts";
import { type ExecutionSnapshot, type SchedulerSnapshot, snapshotOf } from "./snapshot.ts";
import type { Agent, Deadline } from "./state.ts";
import { type Waiting, waitingOf } from "./waiting.ts";

/**
 * The scheduler: a pure state machine without clock, storage or sockets. Events go in, decisions come out, and the caller
 * carries them out in their order. An event costs O(log queued + groups).
 */
export class Scheduler {
  readonly #state: SchedulerState;

  /** @param state where it keeps what it knows; given only by those who want to look into it */
  constructor(limits: SchedulerLimits, state = new SchedulerState(limits)) {
    this.#state = state;
  }

  /** Goes on from what was kept of an earlier scheduler. Only for a new one. */
  restore(nowMs: number, snapshot: SchedulerSnapshot): Decision[] {
    this.#state.nowMs = nowMs;
    restore(this.#state, snapshot);
    return this.#state.takeDecisions();
  }

  /** Takes one event and returns what is to be done about it. An event about what isn't known any more does nothing. */
  step(event: SchedulerEvent): Decision[] {
    const state = this.#state;
    if (event.type === "agent_heard") {
      this.#withAgent(event.agentId, (agent) => {
        hear(agent, event.nowMs);
      });
      return [];
    }
    state.nowMs = Math.max(state.nowMs, event.nowMs);
    switch (event.type) {
      case "enqueue":
        enqueue(state, event);
        break;
      case "agent_connected":
        connectAgent(state, event.agent, event.leaseIds);
        break;
      case "agent_disconnected":
        this.#withAgent(event.agentId, (agent) => {
          if (event.left === true) leave(state, agent);
          else disconnectAgent(state, agent);
        });
        break;
      case "agent_draining":
        this.#withAgent(event.agentId, (agent) => {
          stopWork(state, agent);
        });
        break;
      case "agent_capacity":
        this.#withAgent(event.agentId, (agent) => {
          changeCapacity(state, agent, event.maxActions, event.capacityMilli);
        });
        break;
      case "lease_progress":
        progress(state, event.agentId, event.leaseId, event.phase);
        break;
      case "lease_ended":
        endLease(state, event.agentId, event.leaseId, event.outcome, event.message);
        break;
      case "published": {
        const execution = state.executions.get(event.executionId);
        if (execution?.stage === "finishing") complete(state, execution);
        break;
      }
      case "cancel_operation":
        cancelOperation(state, event.operationId);
        break;
      case "operation_watched":
        setWatched(state, event.operationId, event.watched);
        break;
      case "tick":
        this.#tick();
        break;
    }
    return state.takeDecisions();
  }

  /** When the next `tick` is due; undefined if nothing waits for a time. */
  nextDeadlineMs(): number | undefined {
    const deadlineMs = this.#state.deadlines.peek()?.atMs;
    const forgetAtMs = this.#state.ended.nextForgetAtMs();
    return deadlineMs === undefined || (forgetAtMs !== undefined && forgetAtMs < deadlineMs) ? forgetAtMs : deadlineMs;
  }

  /**
   * Connected agents that a tick at `nowMs` would take for lost. Their heartbeats are answered without the scheduler, so
   * the caller looks when each was last heard, and says so, before that tick.
   */
  *agentsDue(nowMs: number): Iterable<string> {
    for (const { id, connected, silence } of this.#state.agents.all()) {
      if (connected && silence !== undefined && silence.atMs <= nowMs) yield id;
    }
  }

  /** What is to be kept of a live execution; undefined if there is none of that id. */
  snapshot(executionId: string): ExecutionSnapshot | undefined {
    const execution = this.#state.executions.get(executionId);
    return execution && snapshotOf(execution);
  }

  /** The live execution that an operation waits for. */
  executionOf(operationId: string): string | undefined {
    return this.#state.operation(operationId)?.execution.id;
  }

  /** Whether there was such an execution, and it is remembered. */
  hasEnded(executionId: string): boolean {
    return this.#state.ended.has(executionId);
  }

  /** @param byAgent see `countsOf` */
  counts(byAgent = false): SchedulerCounts {
    return countsOf(this.#state, byAgent);
  }

  /** Why an execution is queued still; undefined unless it is. */
  waiting(executionId: string): Waiting | undefined {
    const execution = this.#state.executions.get(executionId);
    return execution && waitingOf(this.#state, execution);
  }

  /** At most `limit` live executions that run, and as many that wait. */
  live(limit: number): LiveExecutions {
    return liveExecutions(this.#state, limit);
  }

  /** Ids of at most `limit` live executions of a build. */
  liveOfInvocation(invocationId: string, limit: number): string[] {
    return liveOfInvocation(this.#state, invocationId, limit);
  }

  /** Ids of the leases that an agent has; none if it is not known. */
  leaseIdsOf(agentId: string): string[] {
    return [...(this.#state.agents.get(agentId)?.leases.keys() ?? [])];
  }

  agentLoads(): AgentLoad[] {
    return agentLoads(this.#state);
  }

  /** Ids of all live executions. */
  executionIds(): Iterable<string> {
    return this.#state.executions.keys();
  }

  #withAgent(agentId: string, act: (agent: Agent) => void): void {
    const agent = this.#state.agents.get(agentId);
    if (agent !== undefined) act(agent);
  }

  #tick(): void {
    const state = this.#state;
    for (;;) {
      const due = state.deadlines.peek();
      if (due === undefined || due.atMs > state.nowMs) break;
      state.deadlines.remove(due);
      this.#meet(due);
    }
    forgetEnded(state);
  }

  #meet({ duty, subject }: Deadline): void {
    switch (duty) {
      case "end_lease":
        expireLease(this.#state, subject);
        break;
      case "lose_agent":
        loseAgent(this.#state, subject);
        break;
      case "refuse_group":
        failUnmatched(this.#state, subject);
        break;
      case "abandon_operation":
        abandonOperation(this.#state, subject);
        break;
      case "complete_execution":
        complete(this.#state, subject);
        break;
    }
  }
}
