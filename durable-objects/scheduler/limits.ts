/** The configuration of a scheduler, in its own units. */
export interface SchedulerLimits {
  /** How long an agent may be silent before its leases are taken from it. */
  readonly workerTimeoutMs: number;
  /** How many more attempts an execution gets after one that its agent spoiled. */
  readonly maxJobRetries: number;
  readonly retainCompletedForMs: number;
  /** How long an operation goes on that no client waits for. */
  readonly clientActionTimeoutMs: number;
  /** How long executions are kept that no connected agent could run. */
  readonly noWorkerTimeoutMs: number;
  /** How long an unserved platform, or an action that spent its attempts, is refused at once. */
  readonly failureMemoryMs: number;
  readonly maxQueuedActions: number;
  readonly allocationStrategy: "least_recently_used" | "most_recently_used";
  /** How long a lease may take beside its command: fetching inputs, uploading outputs. */
  readonly leaseOverheadMs: number;
  /**
   * When an execution that needs much of an agent has waited this long for it to be free at once, an agent is kept for it:
   * otherwise small executions that keep slipping in would starve it.
   */
  readonly reserveAfterMs: number;
}

/**
 * Idle groups remember which agents serve them; this many are kept, so that a stream of single actions matches once. With
 * 1,000 agents each takes about 80 kB.
 */
export const MAX_IDLE_GROUPS = 64;

/** Actions that are remembered for having spent their attempts. */
export const MAX_REMEMBERED_FAILURES = 10_000;

/** What is kept of the message of a failed attempt, in characters: agents aren't trusted to be brief. */
export const MAX_FAILURE_LENGTH = 1000;

/**
 * An agent that hands a lease back, or never got it, has spoiled no attempt. After so many leases it counts as one all
 * the same: an action whose lease breaks every agent's socket would go round for ever.
 */
export const MAX_LEASES_WITH_RETURNS = 20;

/** How often it is remembered, of all agents together, that one has an input root, or has run a target; 250 bytes each. */
export const MAX_HOLDINGS = 25_000;

/** How many agents are remembered of one input root or target, and asked whether they are free before locality is given up. */
export const MAX_LOCALITY_PROBES = 16;

/** How long a result may be on its way to the action cache; then its execution completes all the same. */
export const PUBLISH_TIMEOUT_MS = 60_000;

/** How many operations may share an execution: they are all in its row, which is written again for each. */
export const MAX_OPERATIONS = 1000;
