import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { LOCAL_WORKER } from "../../cli/local-worker.ts";
import type { Counts } from "../../src/billing/counts.ts";
import { countsSchema } from "../bill/counts-schema.ts";
import { COUNTS_PATH } from "../bill/counts-path.ts";
import { NodePart } from "./node-part.ts";
import { cpuMs, descendantsCpuMs } from "./process-usage.ts";
import { profileWorkerd } from "./workerd-profile.ts";
import { startWorkerd, type Workerd } from "./workerd.ts";

export interface LocalRemexOptions {
  /** Where `bench/build.js` put everything. */
  readonly bundles: string;
  /** Empty; for the stores, the agent's cache and the like. */
  readonly directory: string;
  readonly instanceName: string;
  /** The text of the configuration. */
  readonly config: string;
  /** How many actions the agent runs at once; 0 starts no agent. */
  readonly slots: number;
  /** Counts the platform's operations. Without it the Worker is the very bundle that is deployed. */
  readonly counted: boolean;
  readonly r2LatencyMs: number;
  readonly objectLatencyMs: number;
  /** Where each part writes a CPU profile when it stops. */
  readonly profiles: string | undefined;
}

/** Remex on this machine: the Worker, the bridge and an agent, each in a process of its own. */
export interface LocalRemex {
  /** `host:port` of the bridge. */
  readonly address: string;
  readonly workerUrl: URL;
  readonly workerPid: number | undefined;
  /** All that has been counted, once the parts have come to rest; undefined if nothing is counted. */
  settledCounts(quietMs: number): Promise<Counts | undefined>;
  /** CPU time that each part has used so far, by name; empty where the system doesn't tell. */
  cpuMs(): ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** How the Worker's share of the CPU is named. */
export const WORKER_PART = "workerd";

const SETTLE_POLL_MS = 100;
const SETTLE_LIMIT_MS = 20_000;

export async function startLocalRemex(options: LocalRemexOptions): Promise<LocalRemex> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const stopPart of stops.splice(0).toReversed()) await stopPart();
  };
  try {
    return { ...(await startParts(options, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startParts(
  options: LocalRemexOptions,
  stops: (() => Promise<void>)[],
): Promise<Omit<LocalRemex, "stop">> {
  const { bundles, directory, instanceName, profiles } = options;
  if (profiles !== undefined) await mkdir(profiles, { recursive: true });
  const worker = await startWorker(options);
  stops.push(() => worker.stop());
  if (profiles !== undefined && worker.inspectorUrl !== undefined) {
    stops.push(await profileWorkerd(worker.inspectorUrl, join(profiles, "workerd.cpuprofile")));
  }

  const script = join(bundles, "remex.js");
  const nodeOptions = (part: string): string[] =>
    profiles === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=${part}.cpuprofile`];
  const endpoint = ["--endpoint", worker.url.href];
  const { part: bridge, readyAt: address } = await NodePart.start(
    script,
    ["bridge", ...endpoint, "--listen", "127.0.0.1:0", "--log-level", "error"],
    /^Bridge +ready at grpc:\/\/(\S+?),/,
    nodeOptions("bridge"),
  );
  stops.push(() => bridge.stop());

  const agents: NodePart[] = [];
  if (options.slots > 0) {
    const { part: agent } = await NodePart.start(
      script,
      [
        "agent",
        ...endpoint,
        ...["--instance", instanceName, "--name", "bench", "--max-actions", String(options.slots)],
        // As many as the slots, so that it is those that limit.
        ...["--property", `cpu_count=${options.slots}`, "--work-dir", join(directory, "agent"), "--log-level", "error"],
      ],
      /^Agent +(.*)/,
      nodeOptions("agent"),
    );
    stops.push(() => agent.stop());
    agents.push(agent);
  }

  return {
    address,
    workerUrl: worker.url,
    workerPid: worker.pid,
    settledCounts: (quietMs) => (options.counted ? settledCounts(worker.url, quietMs) : Promise.resolve(undefined)),
    cpuMs: () => cpuByPart(worker.pid, bridge.pid, agents[0]?.pid),
  };
}

async function startWorker({ bundles, directory, config, ...options }: LocalRemexOptions): Promise<Workerd> {
  const classes = options.counted
    ? { INSTANCE: "CountedInstance", CACHE_SHARD: "CountedCacheShard", QUOTA: "CountedQuota" }
    : { INSTANCE: "Instance", CACHE_SHARD: "CacheShard", QUOTA: "Quota" };
  return startWorkerd({
    script: join(bundles, options.counted ? "counted-worker.js" : "worker.js"),
    dataDirectory: directory,
    worker: {
      durableObjects: {
        INSTANCE: { className: classes.INSTANCE, useSQLite: true },
        CACHE_SHARD: { className: classes.CACHE_SHARD, useSQLite: true },
        QUOTA: { className: classes.QUOTA, useSQLite: true },
      },
      r2Buckets: LOCAL_WORKER.r2Buckets,
      bindings: {
        ...LOCAL_WORKER.bindings,
        REMEX_CONFIG: config,
        ...(options.counted && { R2_LATENCY_MS: options.r2LatencyMs, OBJECT_LATENCY_MS: options.objectLatencyMs }),
      },
    },
    inspected: options.profiles !== undefined,
  });
}

/** Waits until nothing has been counted for `quietMs`, since much is tidied up after a client has its answer. */
async function settledCounts(workerUrl: URL, quietMs: number): Promise<Counts> {
  const deadline = performance.now() + SETTLE_LIMIT_MS;
  let counts = await fetchCounts(workerUrl);
  for (let quietSince = performance.now(); performance.now() - quietSince < quietMs;) {
    if (performance.now() > deadline) throw new Error(`Remex was not at rest after ${SETTLE_LIMIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS));
    const now = await fetchCounts(workerUrl);
    if (JSON.stringify(now) !== JSON.stringify(counts)) quietSince = performance.now();
    counts = now;
  }
  return counts;
}

async function fetchCounts(workerUrl: URL): Promise<Counts> {
  const response = await fetch(new URL(COUNTS_PATH, workerUrl));
  return countsSchema.parse(await response.json());
}

function cpuByPart(worker: number | undefined, bridge: number, agent: number | undefined): Map<string, number> {
  const { user, system } = process.cpuUsage();
  const parts = new Map([["generator", (user + system) / 1000]]);
  const note = (part: string, ms: number | undefined): void => {
    if (ms !== undefined) parts.set(part, ms);
  };
  note("bridge", cpuMs(bridge));
  if (worker !== undefined) note(WORKER_PART, cpuMs(worker));
  if (agent !== undefined) {
    note("agent", cpuMs(agent));
    note("its commands", descendantsCpuMs(agent));
  }
  return parts;
}
