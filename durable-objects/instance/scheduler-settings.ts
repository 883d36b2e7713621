import type { SchedulerConfig } from "../../src/config/schema.ts";
import { LEASE_OVERHEAD_S } from "../../src/limits.ts";
import type { SchedulerLimits } from "../scheduler/limits.ts";
import type { PlatformRules } from "../scheduler/platform.ts";

/** How long a large action waits for an agent to be free by chance, before one is kept for it. */
const RESERVE_AFTER_MS = 10_000;

/** The limits that a scheduler's configuration sets. */
export function schedulerLimits(config: SchedulerConfig): SchedulerLimits {
  return {
    workerTimeoutMs: config.worker_timeout_s * 1000,
    maxJobRetries: config.max_job_retries,
    retainCompletedForMs: config.retain_completed_for_s * 1000,
    clientActionTimeoutMs: config.client_action_timeout_s * 1000,
    noWorkerTimeoutMs: config.no_worker_timeout_s * 1000,
    failureMemoryMs: config.failure_memory_s * 1000,
    maxQueuedActions: config.max_queued_actions,
    allocationStrategy: config.allocation_strategy,
    leaseOverheadMs: LEASE_OVERHEAD_S * 1000,
    reserveAfterMs: RESERVE_AFTER_MS,
  };
}

/** How a scheduler's configuration matches platform properties. */
export function platformRules(config: SchedulerConfig): PlatformRules {
  return {
    kinds: new Map(Object.entries(config.supported_platform_properties)),
    unlisted: config.unlisted_properties,
  };
}
