import { waitUntil } from "cloudflare:workers";
import type { Tracer } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { version } from "../../package.json";
import type { Env } from "../env.ts";
import { SpanQueue } from "./span-queue.ts";
import { tracingSettings } from "./tracing-settings.ts";

const providers = new WeakMap<Env, TracerProvider | "off">();

/**
 * What the Worker and its objects make spans with; undefined, at no cost, where the environment names no collector.
 * @param scope the part that makes them
 */
export function tracerOf(env: Env, scope: "remex.worker" | "remex.instance"): Tracer | undefined {
  let provider = providers.get(env);
  if (provider === undefined) {
    provider = openProvider(env) ?? "off";
    providers.set(env, provider);
  }
  return provider === "off" ? undefined : provider.getTracer(scope, version);
}

function openProvider(env: Env): TracerProvider | undefined {
  const settings = tracingSettings(env);
  if (settings === undefined) return undefined;
  return new TracerProvider({
    resource: resourceFromAttributes({
      "service.name": env.OTEL_SERVICE_NAME ?? "remex-worker",
      "service.version": version,
    }),
    sampler: settings.sampler,
    spanProcessors: [new SpanQueue(settings, waitUntil)],
  });
}
