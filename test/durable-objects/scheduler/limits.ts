import type { SchedulerLimits } from "../../../durable-objects/scheduler/limits.ts";

/** The limits of a scheduler of which a test looks at one moment. */
export const LIMITS: SchedulerLimits = {
  workerTimeoutMs: 60_000,
  maxJobRetries: 3,
  retainCompletedForMs: 1000,
  clientActionTimeoutMs: 60_000,
  noWorkerTimeoutMs: 30_000,
  failureMemoryMs: 1000,
  maxQueuedActions: 1000,
  allocationStrategy: "least_recently_used",
  leaseOverheadMs: 60_000,
  reserveAfterMs: 10_000,
};
