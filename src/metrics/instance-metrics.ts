import type { LookupCounts } from "../../durable-objects/cache-shard/lookup-counters.ts";
import type { InstanceMetrics } from "../../durable-objects/instance/metrics.ts";
import type { Requirement } from "../../durable-objects/scheduler/platform.ts";
import type { HistogramSample, Metric, Sample } from "./exposition.ts";

/** The metrics of one scheduler shard. */
export interface ShardMetrics {
  readonly instance: string;
  readonly shard: number;
  readonly metrics: InstanceMetrics;
}

/** The look-ups in the action cache of an instance. */
export interface CacheMetrics {
  readonly instance: string;
  readonly lookups: LookupCounts;
}

/**
 * The action cache's look-ups, by whether there was a result: hits over all is the hit rate. (A result whose blobs are gone
 * counts as found, and is then not served.)
 */
export function cacheMetrics(caches: readonly CacheMetrics[]): Metric[] {
  return [
    {
      name: "remex_action_cache_lookups_total",
      help: "Look-ups of action results, by whether there was one.",
      type: "counter",
      samples: caches.flatMap(({ instance, lookups }) => [
        { labels: { instance, result: "hit" }, value: lookups.found },
        { labels: { instance, result: "miss" }, value: lookups.missing },
      ]),
    },
  ];
}

/** Calls that were refused since their caller's quota was spent, by the quota. */
export function refusalMetric(samples: readonly Sample[]): Metric {
  return {
    name: "remex_quota_refusals_total",
    help: "Calls refused because a quota was spent, by the quota's entry in the configuration.",
    type: "counter",
    samples,
  };
}

type Labels = Readonly<Record<string, string>>;

/** What the schedulers tell Prometheus. */
export function instanceMetrics(shards: readonly ShardMetrics[]): Metric[] {
  const each = (samples: (metrics: InstanceMetrics, labels: Labels) => readonly Sample[]): Sample[] =>
    shards.flatMap(({ instance, metrics, shard }) => samples(metrics, { instance, shard: String(shard) }));
  const total = (name: string, help: string, value: (metrics: InstanceMetrics) => number): Metric => ({
    name: `remex_${name}_total`,
    help,
    type: "counter",
    samples: each((metrics, labels) => [{ labels, value: value(metrics) }]),
  });
  const gauge = (name: string, help: string, samples: Parameters<typeof each>[0]): Metric => ({
    name: `remex_${name}`,
    help,
    type: "gauge",
    samples: each(samples),
  });
  const ofGroups =
    (value: (group: InstanceMetrics["now"]["groups"][number]) => number) =>
    (metrics: InstanceMetrics, labels: Labels) =>
      metrics.now.groups.map((group) => ({
        labels: { ...labels, platform: platformText(group.requirement) },
        value: value(group),
      }));
  const histogram = (name: string, help: string, of: "queueDuration" | "executionDuration"): Metric => ({
    name: `remex_${name}_seconds`,
    help,
    type: "histogram",
    samples: shards.map(({ instance, metrics, shard }) => inSeconds(metrics[of], { instance, shard: String(shard) })),
  });
  return [
    gauge(
      "queued_executions",
      "Executions that wait for an agent, by platform.",
      ofGroups(({ queued }) => queued),
    ),
    gauge(
      "active_executions",
      "Executions at an agent, by platform.",
      ofGroups(({ active }) => active),
    ),
    gauge("agents", "Agents by state.", ({ now: { agents } }, labels) =>
      (["connected", "draining", "missing"] as const).map((state) => ({
        labels: { ...labels, state },
        value: agents[state],
      })),
    ),
    gauge(
      "free_slots",
      "Leases that agents could take now, as each shard sees it: an agent grants all shards what it has free.",
      ({ now }, labels) => [{ labels, value: now.agents.freeSlots }],
    ),
    total("executions_queued", "Executions that were queued.", ({ totals }) => totals.queued),
    total("operations_merged", "Operations that joined an execution under way.", ({ totals }) => totals.merged),
    total("executions_completed", "Executions that ended with a result.", ({ totals }) => totals.completed),
    total(
      "attempts_retried",
      "Attempts that were spoiled by their agents and made again.",
      ({ totals }) => totals.retried,
    ),
    total("agents_lost", "Agents that fell silent while they held leases.", ({ totals }) => totals.agentsLost),
    {
      name: "remex_executions_failed_total",
      help: "Operations refused and executions ended without a result, by reason.",
      type: "counter",
      samples: each(({ totals }, labels) =>
        Object.entries(totals.failed).map(([reason, value]) => ({ labels: { ...labels, reason }, value })),
      ),
    },
    histogram("queue_duration", "From queued to the first lease.", "queueDuration"),
    histogram("execution_duration", "From the lease to its result.", "executionDuration"),
  ];
}

/** A platform in a few words, the same for the same platform. */
export function platformText({ exact, minimum, present }: Requirement): string {
  return [
    ...exact.map(({ name, value }) => `${name}=${value}`),
    ...present,
    ...minimum.map(({ amountMilli, name }) => `${name}>=${amountMilli / 1000}`),
  ].join(",");
}

function inSeconds({ boundsMs, counts, sumMs }: InstanceMetrics["queueDuration"], labels: Labels): HistogramSample {
  return { labels, bounds: boundsMs.map((boundMs) => boundMs / 1000), counts, sum: sumMs / 1000 };
}
