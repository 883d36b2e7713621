import { Hono } from "hono";
import { authorizedInstance, callerOf, refusedEverywhere } from "../access/authorized-instance.ts";
import { type Caller, mayOn, mayOnAll } from "../access/caller.ts";
import { openCacheShards } from "../cache-shards/cache-shards.ts";
import { servedConfig } from "../config/served-config.ts";
import type { Env } from "../env.ts";
import { instanceNameOf } from "../instance-segment.ts";
import { callInstance } from "../instance-object/instance-objects.ts";
import { log } from "../log.ts";
import { quotaGroups } from "../quota/caller-quota.ts";
import { refusals } from "../quota/charge.ts";
import type { MetricsOptions } from "../../durable-objects/instance/metrics.ts";
import { BUILD_INFO } from "./build-info.ts";
import { EXPOSITION_CONTENT_TYPE, exposition, type Metric } from "./exposition.ts";
import { freeSlotsOf } from "./free-slots.ts";
import { cacheMetrics, instanceMetrics, platformText, refusalMetric, type ShardMetrics } from "./instance-metrics.ts";
import { storeMetrics } from "./store-metrics.ts";

/** `/metrics` for Prometheus and `/v1/instances/{instance}/demand` for autoscalers. Both need the role `operator`. */
export const metricsRoutes = new Hono<{ Bindings: Env }>();

metricsRoutes.get("/metrics", async (c) => {
  const caller = await callerOf(c.env, c.req.raw.headers);
  const instances = [...servedConfig(c.env).instances.values()].filter(({ name }) => mayOn(caller, name, "operate"));
  if (instances.length === 0) throw refusedEverywhere(caller, "operate");
  const shards = instances.flatMap(({ name, scheduler }) =>
    askShards(c.env, name, scheduler.shards).map((asked) => unlessAway(`a scheduler shard of ${name}`, asked)),
  );
  const caches = instances.map(({ name, store, storeName }) =>
    unlessAway(
      `the look-ups of ${name}`,
      openCacheShards(c.env, storeName, store)
        .actionResults.lookups(name)
        .then((lookups) => ({ instance: name, lookups })),
    ),
  );
  const stores = new Map(instances.map(({ store, storeName }) => [storeName, store]));
  const standings = [...stores].map(([store, config]) =>
    unlessAway(
      `the store ${store}`,
      openCacheShards(c.env, store, config)
        .upkeep.standings()
        .then((shards) => ({ store, config, shards })),
    ),
  );
  const metrics = [
    BUILD_INFO,
    ...instanceMetrics(await allOf(shards)),
    ...cacheMetrics(await allOf(caches)),
    ...storeMetrics(await allOf(standings)),
    ...(await quotaMetrics(c.env, caller)),
  ];
  return c.body(exposition(metrics), 200, { "content-type": EXPOSITION_CONTENT_TYPE });
});

/**
 * What one part tells, or nothing where it can't be had, as of an object that restarts, or is of the version before,
 * minutes after a deployment: the rest is worth more than nothing.
 */
async function unlessAway<T>(part: string, asked: Promise<T>): Promise<T[]> {
  try {
    return [await asked];
  } catch (error) {
    log.warn({ part, error }, "a part can't say how it stands, and is left out of the metrics");
    return [];
  }
}

async function allOf<T>(parts: readonly Promise<readonly T[]>[]): Promise<T[]> {
  return (await Promise.all(parts)).flat();
}

/** Who is refused how often is of the whole endpoint, and so for those who operate all of it. */
async function quotaMetrics(env: Env, caller: Caller): Promise<Metric[]> {
  const { access } = servedConfig(env);
  if (!mayOnAll(caller, "operate")) return [];
  const samples = quotaGroups(access).map((group) =>
    unlessAway(
      `the quota ${group}`,
      refusals(env, group).then((value) => ({ labels: { quota: group }, value })),
    ),
  );
  return [refusalMetric(await allOf(samples))];
}

metricsRoutes.get("/v1/instances/:instance/demand", async (c) => {
  const caller = await callerOf(c.env, c.req.raw.headers);
  const { config } = authorizedInstance(c.env, caller, instanceNameOf(c.req.param("instance")), "operate");
  // Part of the demand would be taken for all of it.
  const shards = await Promise.all(askShards(c.env, config.name, config.scheduler.shards, { byAgent: true }));
  return c.json(demand(config.name, shards, Date.now()));
});

/** What an autoscaler needs to know. */
export interface Demand {
  readonly instance: string;
  readonly queued: number;
  readonly active: number;
  readonly oldest_wait_s: number;
  /** Of agents that take work. */
  readonly slots: { readonly free: number; readonly busy: number };
  readonly agents: number;
  readonly platforms: readonly {
    readonly platform: string;
    readonly queued: number;
    readonly active: number;
    readonly oldest_wait_s: number;
    /** Connected agents that could serve it, the most that any shard sees. */
    readonly agents: number;
  }[];
}

export function demand(instance: string, shards: readonly ShardMetrics[], nowMs: number): Demand {
  const platforms = new Map<string, Demand["platforms"][number]>();
  for (const { metrics } of shards) {
    for (const { active, agents, oldestQueuedAtMs, queued, requirement } of metrics.now.groups) {
      const platform = platformText(requirement);
      const known = platforms.get(platform);
      const waitS = oldestQueuedAtMs === undefined ? 0 : Math.max(nowMs - oldestQueuedAtMs, 0) / 1000;
      platforms.set(platform, {
        platform,
        queued: queued + (known?.queued ?? 0),
        active: active + (known?.active ?? 0),
        oldest_wait_s: Math.max(waitS, known?.oldest_wait_s ?? 0),
        agents: Math.max(agents, known?.agents ?? 0),
      });
    }
  }
  const groups = [...platforms.values()];
  const agents = shards.map(({ metrics }) => metrics.now.agents);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    instance,
    queued: sum(groups.map(({ queued }) => queued)),
    active: sum(groups.map(({ active }) => active)),
    oldest_wait_s: Math.max(0, ...groups.map(({ oldest_wait_s }) => oldest_wait_s)),
    slots: { free: freeSlotsOf(agents), busy: sum(agents.map(({ leases }) => leases)) },
    agents: Math.max(0, ...agents.map(({ connected }) => connected)),
    platforms: groups,
  };
}

function askShards(env: Env, instance: string, shards: number, options: MetricsOptions = {}): Promise<ShardMetrics>[] {
  return Array.from({ length: shards }, async (_, shard) => {
    const metrics = await callInstance(env, { instanceName: instance, shard }, (stub) => stub.metrics(options));
    return { instance, shard, metrics };
  });
}
