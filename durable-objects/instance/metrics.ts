import { z } from "zod";
import type { Decision, Failure } from "../scheduler/events.ts";
import type { SchedulerCounts } from "../scheduler/counts.ts";
import { Histogram, type HistogramSnapshot } from "./histogram.ts";

const totalsSchema = z.object({
  /** Executions that were queued; each has one or more operations. */
  queued: z.number(),
  /** Operations that joined an execution under way. */
  merged: z.number(),
  completed: z.number(),
  /** Attempts that were spoiled and made again. */
  retried: z.number(),
  agentsLost: z.number(),
  /** Operations turned away, and executions that ended without a result, by reason. */
  failed: z.object({
    no_agent: z.number(),
    queue_full: z.number(),
    attempts_spent: z.number(),
    abandoned: z.number(),
    cancelled: z.number(),
  } satisfies Record<Failure["reason"], z.ZodNumber>),
});

const histogramSchema = z.object({ boundsMs: z.array(z.number()), counts: z.array(z.number()), sumMs: z.number() });

const savedSchema = z.object({
  totals: totalsSchema,
  queueDuration: histogramSchema,
  executionDuration: histogramSchema,
});

/** Totals: counters in the sense of Prometheus. */
export type MetricsTotals = z.infer<typeof totalsSchema>;

/** What outlives the object's memory. */
export type SavedMetrics = z.infer<typeof savedSchema>;

/** What there is to know of one scheduler shard, at one moment. */
export interface InstanceMetrics {
  readonly now: SchedulerCounts;
  readonly totals: MetricsTotals;
  /** From queued to the first lease. */
  readonly queueDuration: HistogramSnapshot;
  /** From the lease to its result, of those that had one. */
  readonly executionDuration: HistogramSnapshot;
}

export interface MetricsOptions {
  /** Whether each agent's free slots are to be told. */
  readonly byAgent?: boolean;
}

/** Counts what the scheduler decides. */
export class Metrics {
  readonly #totals: MetricsTotals;
  readonly #queueDuration: Histogram;
  readonly #executionDuration: Histogram;
  readonly #onCounted: () => void;

  /** @param saved an earlier `saved`, or anything: what isn't one is as none */
  constructor(saved: unknown, onCounted: () => void) {
    this.#onCounted = onCounted;
    const { data } = savedSchema.safeParse(saved);
    this.#totals = data?.totals ?? {
      queued: 0,
      merged: 0,
      completed: 0,
      retried: 0,
      agentsLost: 0,
      failed: { no_agent: 0, queue_full: 0, attempts_spent: 0, abandoned: 0, cancelled: 0 },
    };
    this.#queueDuration = new Histogram(data?.queueDuration);
    this.#executionDuration = new Histogram(data?.executionDuration);
  }

  count(decision: Decision): void {
    switch (decision.type) {
      case "queued":
        this.#totals.queued += 1;
        break;
      case "joined":
        this.#totals.merged += 1;
        break;
      case "leased":
        if (decision.attempt === 1) this.#queueDuration.record(decision.waitedMs);
        break;
      case "completed":
        this.#totals.completed += 1;
        break;
      case "requeued":
        if (decision.spoiled) this.#totals.retried += 1;
        break;
      case "agent_removed":
        if (decision.lost) this.#totals.agentsLost += 1;
        break;
      case "refused":
      case "failed":
      case "operation_ended":
        this.#totals.failed[decision.failure.reason] += 1;
        break;
      case "publish":
        this.#executionDuration.record(decision.tookMs);
        break;
      case "progressed":
      case "cancel_lease":
      case "acknowledge":
      case "clock":
      case "forget":
        return;
    }
    this.#onCounted();
  }

  saved(): SavedMetrics {
    return {
      totals: this.#totals,
      queueDuration: this.#queueDuration.snapshot(),
      executionDuration: this.#executionDuration.snapshot(),
    };
  }

  /** As things are, and have been. A copy: what is counted later doesn't change it. */
  snapshot(now: SchedulerCounts): InstanceMetrics {
    return structuredClone({ now, ...this.saved() });
  }
}
