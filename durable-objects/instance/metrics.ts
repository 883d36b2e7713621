import type { Decision, Failure } from "../scheduler/events.ts";
import type { SchedulerCounts } from "../scheduler/counts.ts";
import { Histogram, type HistogramSnapshot } from "./histogram.ts";

/** Totals since the object was last loaded: counters in the sense of Prometheus, which begin again at 0. */
export interface MetricsTotals {
  /** Executions that were queued; each has one or more operations. */
  readonly queued: number;
  /** Operations that joined an execution under way. */
  readonly merged: number;
  readonly completed: number;
  /** Attempts that were spoiled and made again. */
  readonly retried: number;
  readonly agentsLost: number;
  /** Operations turned away, and executions that ended without a result, by reason. */
  readonly failed: Readonly<Record<Failure["reason"], number>>;
}

/** What there is to know of one scheduler shard, at one moment. */
export interface InstanceMetrics {
  readonly now: SchedulerCounts;
  readonly totals: MetricsTotals;
  /** From queued to the first lease. */
  readonly queueDuration: HistogramSnapshot;
  /** From the lease to its result, of those that had one. */
  readonly executionDuration: HistogramSnapshot;
}

/** Counts what the scheduler decides. */
export class Metrics {
  readonly #queueDuration = new Histogram();
  readonly #executionDuration = new Histogram();
  readonly #failed = { no_agent: 0, queue_full: 0, attempts_spent: 0, abandoned: 0, cancelled: 0 };
  #queued = 0;
  #merged = 0;
  #completed = 0;
  #retried = 0;
  #agentsLost = 0;

  count(decision: Decision): void {
    switch (decision.type) {
      case "queued":
        this.#queued += 1;
        break;
      case "joined":
        this.#merged += 1;
        break;
      case "leased":
        if (decision.attempt === 1) this.#queueDuration.record(decision.waitedMs);
        break;
      case "completed":
        this.#completed += 1;
        break;
      case "requeued":
        this.#retried += 1;
        break;
      case "agent_removed":
        if (decision.lost) this.#agentsLost += 1;
        break;
      case "refused":
      case "failed":
      case "operation_ended":
        this.#failed[decision.failure.reason] += 1;
        break;
      case "publish":
        this.#executionDuration.record(decision.tookMs);
        break;
      case "progressed":
      case "cancel_lease":
      case "acknowledge":
      case "clock":
      case "forget":
        break;
    }
  }

  snapshot(now: SchedulerCounts): InstanceMetrics {
    return {
      now,
      totals: {
        queued: this.#queued,
        merged: this.#merged,
        completed: this.#completed,
        retried: this.#retried,
        agentsLost: this.#agentsLost,
        failed: { ...this.#failed },
      },
      queueDuration: this.#queueDuration.snapshot(),
      executionDuration: this.#executionDuration.snapshot(),
    };
  }
}
