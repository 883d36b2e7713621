import type { AgentDescription, LeasePhase } from "./events.ts";
import type { Requirement } from "./platform.ts";
import { operationsOf } from "./operations.ts";
import type { Execution } from "./state.ts";

/** What must be kept of a live execution, so that a restarted scheduler goes on with it. */
export interface ExecutionSnapshot {
  readonly id: string;
  readonly actionKey: string;
  readonly mergeable: boolean;
  readonly requirement: Requirement;
  readonly invocationId: string;
  readonly timeoutMs: number;
  readonly inputRoot: string | undefined;
  readonly target: number | undefined;
  readonly queuedAtMs: number;
  readonly sequence: number;
  readonly turn: number;
  /** The first one is the execution's own, while that is live. */
  readonly operations: readonly { readonly id: string; readonly priority: number }[];
  /** How many leases it had. */
  readonly leaseCount: number;
  readonly failures: readonly string[];
  /** Undefined while queued. */
  readonly lease: LeaseSnapshot | undefined;
}

export interface LeaseSnapshot {
  /** Follows from the execution's id and `leaseCount`. */
  readonly id: string;
  readonly agentId: string;
  readonly phase: LeasePhase | undefined;
  readonly startedAtMs: number;
}

/** An agent that the scheduler knew. */
export interface AgentSnapshot {
  readonly description: AgentDescription;
  /** Whether its socket is still there. */
  readonly connected: boolean;
  /** For a connected one: when it last gave a sign of life. */
  readonly lastHeardMs: number;
}

/** An execution that ended and is not forgotten yet. */
export interface EndedSnapshot {
  readonly id: string;
  readonly endedAtMs: number;
  /** Set where it ended because its attempts were spent. */
  readonly spent: { readonly actionKey: string; readonly message: string } | undefined;
}

/** Everything that a scheduler needs to go on after a restart. */
export interface SchedulerSnapshot {
  readonly agents: Iterable<AgentSnapshot>;
  readonly executions: Iterable<ExecutionSnapshot>;
  /** The first to end first. */
  readonly ended: Iterable<EndedSnapshot>;
  /** What `clock` decisions said: since when each runs, by name. */
  readonly clocks: ReadonlyMap<string, number>;
}

export function snapshotOf(execution: Execution): ExecutionSnapshot {
  const { group, lease, stage } = execution;
  return {
    id: execution.id,
    actionKey: execution.actionKey,
    mergeable: execution.mergeable,
    requirement: group.requirement,
    invocationId: execution.invocationId,
    timeoutMs: execution.timeoutMs,
    inputRoot: execution.inputRoot,
    target: execution.target,
    queuedAtMs: execution.queuedAtMs,
    sequence: execution.sequence,
    turn: execution.turn,
    operations: Array.from(operationsOf(execution), ({ id, priority }) => ({ id, priority })),
    leaseCount: execution.leaseCount,
    failures: execution.failures ?? [],
    lease:
      stage === "leased" && lease
        ? { id: lease.id, agentId: lease.agent.id, phase: lease.phase, startedAtMs: lease.startedAtMs }
        : undefined,
  };
}
