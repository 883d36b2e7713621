import { z } from "zod";
import { type Answer, askEndpoint } from "../../endpoint/ask-endpoint.ts";
import { describeError } from "../../endpoint/describe-error.ts";
import { instanceSegment } from "../../src/instance-segment.ts";
import { Fault } from "../fault.ts";
import { type MetricValue, parseExposition } from "./exposition-text.ts";

const TIMEOUT_MS = 10_000;

/** What `/v1/instances/{instance_name}/demand` says; fields that a later Worker adds are passed over. */
const demandSchema = z.object({
  instance: z.string(),
  queued: z.number(),
  active: z.number(),
  oldest_wait_s: z.number(),
  slots: z.object({ free: z.number(), busy: z.number() }),
  agents: z.number(),
  platforms: z.array(
    z.object({
      platform: z.string(),
      queued: z.number(),
      active: z.number(),
      oldest_wait_s: z.number(),
      agents: z.number(),
    }),
  ),
});

/** What is known of one instance: its demand, and what its metrics count. */
export interface InstanceStatus extends z.infer<typeof demandSchema> {
  readonly agents_draining: number;
  /** Gone for less than the worker timeout, with work that they may still finish. */
  readonly agents_missing: number;
  readonly executions_completed: number;
  readonly executions_failed: number;
  readonly action_cache_hits: number;
  readonly action_cache_misses: number;
}

/** What an endpoint says of itself. As JSON it is what `remex status --json` prints. */
export interface EndpointStatus {
  readonly endpoint: string;
  readonly ready: boolean;
  /** Why it is not ready, in its words. */
  readonly reason?: string;
  /** How long it took to say whether it is ready. */
  readonly latency_ms: number;
  /** Of the Worker; undefined if that is older than this field. */
  readonly version?: string;
  readonly instances: readonly InstanceStatus[];
}

export interface StatusQuestion {
  readonly endpoint: URL;
  readonly token: string | undefined;
  /** Undefined for all that the token may operate. */
  readonly instanceName: string | undefined;
}

/** @throws Fault if the endpoint can't be reached, or doesn't let this caller ask. */
export async function askStatus(question: StatusQuestion): Promise<EndpointStatus> {
  const startMs = performance.now();
  const readiness = await ask(question, "/readyz");
  const ready = isOk(readiness);
  const head = {
    endpoint: question.endpoint.href,
    ready,
    ...(!ready && { reason: readiness.text.trim() || `HTTP ${readiness.status}` }),
    latency_ms: Math.round(performance.now() - startMs),
  };
  // What isn't ready may not be able to say more.
  if (!ready) return { ...head, instances: [] };

  const metrics = parseExposition((await askAllowed(question, "/metrics")).text);
  const version = metrics.find(({ name }) => name === "remex_build_info")?.labels["version"];
  const named = question.instanceName === undefined ? instancesOf(metrics) : [question.instanceName];
  const instances = await Promise.all(named.map((name) => askInstance(question, name, metrics)));
  return { ...head, ...(version !== undefined && { version }), instances };
}

function instancesOf(metrics: readonly MetricValue[]): string[] {
  return [...new Set(metrics.flatMap(({ labels }) => labels["instance"] ?? []))].toSorted();
}

async function askInstance(
  question: StatusQuestion,
  instance: string,
  metrics: readonly MetricValue[],
): Promise<InstanceStatus> {
  const path = `/v1/instances/${instanceSegment(instance)}/demand`;
  const demand = demandSchema.parse(JSON.parse((await askAllowed(question, path)).text));
  /** Over the scheduler's shards. */
  const sum = (name: string, labels: Readonly<Record<string, string>> = {}): number =>
    metrics
      .filter((metric) => metric.name === name && metric.labels["instance"] === instance)
      .filter((metric) => Object.entries(labels).every(([label, value]) => metric.labels[label] === value))
      .reduce((total, { value }) => total + value, 0);
  return {
    ...demand,
    agents_draining: sum("remex_agents", { state: "draining" }),
    agents_missing: sum("remex_agents", { state: "missing" }),
    executions_completed: sum("remex_executions_completed_total"),
    executions_failed: sum("remex_executions_failed_total"),
    action_cache_hits: sum("remex_action_cache_lookups_total", { result: "hit" }),
    action_cache_misses: sum("remex_action_cache_lookups_total", { result: "miss" }),
  };
}

async function askAllowed(question: StatusQuestion, path: string): Promise<Answer> {
  const answer = await ask(question, path);
  if (isOk(answer)) return answer;
  const said = answer.text.trim();
  switch (answer.status) {
    case 401:
    case 403:
      throw new Fault(
        `${question.endpoint.href} doesn't say how it is to this caller: ${said}. Give a token with --token-file`,
      );
    case 404:
      throw new Fault(`${question.endpoint.href} has no ${path}; check that it is a Remex Worker of this version`);
    default:
      throw new Fault(`${question.endpoint.href} answers ${path} with HTTP ${answer.status}: ${said}`);
  }
}

async function ask({ endpoint, token }: StatusQuestion, path: string): Promise<Answer> {
  const url = new URL(endpoint.href.replace(/\/$/, "") + path);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  try {
    return await askEndpoint(url, { headers, timeoutMs: TIMEOUT_MS });
  } catch (error) {
    throw new Fault(
      `${url.href} can't be reached (${describeError(error)}); check --endpoint, and that the Worker is running`,
    );
  }
}

function isOk({ status }: Answer): boolean {
  return status >= 200 && status < 300;
}
