import type { Offer, Requirement } from "./platform.ts";

/** How far an agent is with a lease. */
export type LeasePhase = "fetching_inputs" | "executing" | "uploading_outputs";

/** How a lease ended, as the agent reports it. */
export type LeaseOutcome =
  "completed" | "timed_out" | "refused" | "infrastructure_failure" | "handed_back" | "cancelled" | "busy";

/** What an agent says of itself when it connects. */
export interface AgentDescription {
  /** Unique to one run of the agent's process. */
  readonly id: string;
  /** What people call the machine. */
  readonly name: string;
  readonly offer: Offer;
  /** How many leases at once; 0 for as many as the minimum properties allow. */
  readonly maxActions: number;
  readonly draining: boolean;
  /** Keys of the input roots that it has, most recently used first. */
  readonly inputRoots: readonly string[];
}

/** A client's Execute. */
export interface EnqueueEvent {
  readonly type: "enqueue";
  /** Unique. If no running execution is joined, it is the new execution's id too. */
  readonly operationId: string;
  /** Equal for executions that can stand for one another: action digest and time limit. */
  readonly actionKey: string;
  /** Whether it may share an execution (an action with do_not_cache may not). */
  readonly mergeable: boolean;
  readonly requirement: Requirement;
  readonly priority: number;
  readonly invocationId: string;
  /** Limit of the command's own running time. */
  readonly timeoutMs: number;
  readonly inputRoot: string | undefined;
  /** What the action is a part of, by its client's word: actions of one target have most of their inputs in common. */
  readonly target: number | undefined;
}

/** What happens to a scheduler, and when: `nowMs` is the wall clock, which the scheduler never lets run backwards. */
export type SchedulerEvent = Happening & { readonly nowMs: number };

export type Happening =
  | EnqueueEvent
  /** A socket said Hello: a new agent, or a known one that is back. `leaseIds` are the leases that it holds. */
  | { readonly type: "agent_connected"; readonly agent: AgentDescription; readonly leaseIds: readonly string[] }
  /** Its socket is gone. Its leases stay its own until it has been silent for the worker timeout. */
  | {
      readonly type: "agent_disconnected";
      readonly agentId: string;
      /** It took leave: it doesn't come back, and what it held is over. */
      readonly left?: boolean;
    }
  /** It was alive at `nowMs`, which may be past. */
  | { readonly type: "agent_heard"; readonly agentId: string }
  | { readonly type: "agent_draining"; readonly agentId: string }
  /** It shares itself between several schedulers, and this one may now use so much of it, leases that run included. */
  | {
      readonly type: "agent_capacity";
      readonly agentId: string;
      /** Infinity for as many as the minimum properties allow. */
      readonly maxActions: number;
      /** Thousandths of minimum properties; one that is left out stays as it was. */
      readonly capacityMilli: ReadonlyMap<string, number>;
    }
  | { readonly type: "lease_progress"; readonly agentId: string; readonly leaseId: string; readonly phase: LeasePhase }
  | {
      readonly type: "lease_ended";
      readonly agentId: string;
      readonly leaseId: string;
      readonly outcome: LeaseOutcome;
      /** For an infrastructure failure: what failed. */
      readonly message: string;
    }
  /** What a `publish` decision asked for is done. */
  | { readonly type: "published"; readonly executionId: string }
  | { readonly type: "cancel_operation"; readonly operationId: string }
  /** Whether a client waits for the operation. */
  | { readonly type: "operation_watched"; readonly operationId: string; readonly watched: boolean }
  /** A deadline may have come. */
  | { readonly type: "tick" };

/** Why an execution ended, or an operation was turned away, without a result. */
export interface Failure {
  readonly reason: "no_agent" | "queue_full" | "attempts_spent" | "abandoned" | "cancelled";
  readonly message: string;
  /**
   * How long to wait before trying again; only where waiting alone may help. Bazel obeys it, and where it is told to wait
   * out the time that a failure is remembered, the memory spares it nothing.
   */
  readonly retryAfterMs?: number;
}

/** What a scheduler wants done, in this order. */
export type Decision =
  /** A new execution, with its one operation, waits. */
  | { readonly type: "queued"; readonly executionId: string }
  /** The operation shares an execution that is under way. */
  | { readonly type: "joined"; readonly executionId: string; readonly operationId: string }
  /** The operation never was. */
  | { readonly type: "refused"; readonly operationId: string; readonly failure: Failure }
  | {
      readonly type: "leased";
      readonly executionId: string;
      readonly leaseId: string;
      readonly agentId: string;
      /** How long it was queued; for a lease after the first, since it first was. */
      readonly waitedMs: number;
      /** 1 for the first lease. */
      readonly attempt: number;
    }
  /** The lease's phase has changed. */
  | { readonly type: "progressed"; readonly executionId: string }
  /** The execution waits again, at its old place. */
  | {
      readonly type: "requeued";
      readonly executionId: string;
      readonly why: string;
      /** Whether the attempt counts, and was not only handed back or never begun. */
      readonly spoiled: boolean;
    }
  /** The lease's result is the execution's: make it durable and cache it, then say `published`. */
  | {
      readonly type: "publish";
      readonly executionId: string;
      readonly leaseId: string;
      /** How long the lease was held. */
      readonly tookMs: number;
    }
  /** The execution is over with the result that was published. */
  | { readonly type: "completed"; readonly executionId: string }
  /** The execution is over without a result. */
  | { readonly type: "failed"; readonly executionId: string; readonly failure: Failure }
  /** One operation of an execution that goes on is over. */
  | {
      readonly type: "operation_ended";
      readonly executionId: string;
      readonly operationId: string;
      readonly failure: Failure;
    }
  | { readonly type: "cancel_lease"; readonly agentId: string; readonly leaseId: string; readonly why: string }
  /** The agent may forget the lease: nobody waits for what it says of it. */
  | { readonly type: "acknowledge"; readonly agentId: string; readonly leaseId: string }
  /**
   * Keep since when the clock of this name runs, for the `restore` of the next scheduler. Undefined: it doesn't run any
   * more, and nothing of it need be kept.
   */
  | { readonly type: "clock"; readonly name: string; readonly sinceMs: number | undefined }
  /** The agent is not known any more: it went, or it was `lost` with its leases. */
  | { readonly type: "agent_removed"; readonly agentId: string; readonly lost: boolean; readonly why: string }
  /** The execution ended long ago: nothing of it need be kept. */
  | { readonly type: "forget"; readonly executionId: string };
