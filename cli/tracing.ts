import type { Tracer } from "@opentelemetry/api";
import type { TracingVariables } from "../src/tracing/tracing-settings.ts";
import { packageVersion } from "./package-directory.ts";

export interface Tracing {
  readonly tracer: Tracer;
  /** Sends what is left. Never rejects. */
  readonly close: () => Promise<void>;
}

/** How long the last spans may take. */
const CLOSE_TIMEOUT_MS = 400;

/**
 * What a part of this process makes spans with; undefined where OpenTelemetry's variables name no collector, and then
 * nothing of it is even loaded. Beside those that are read here, its exporter reads OTEL_EXPORTER_OTLP_TIMEOUT and the like.
 * @param part for `service.name`, unless OTEL_SERVICE_NAME says it: `remex-bridge`
 */
export async function openTracing(part: string): Promise<Tracing | undefined> {
  const variables: TracingVariables = process.env;
  if ((variables.OTEL_EXPORTER_OTLP_ENDPOINT ?? variables.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? "") === "") {
    return undefined;
  }
  const [
    { tracingSettings },
    { OTLPTraceExporter },
    { resourceFromAttributes },
    { BatchSpanProcessor, TracerProvider },
  ] = await Promise.all([
    import("../src/tracing/tracing-settings.ts"),
    import("@opentelemetry/exporter-trace-otlp-http"),
    import("@opentelemetry/resources"),
    import("@opentelemetry/sdk-trace"),
  ]);
  const settings = tracingSettings(variables);
  if (settings === undefined) return undefined;
  const version = packageVersion();
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      "service.name": variables.OTEL_SERVICE_NAME ?? part,
      "service.version": version,
    }),
    sampler: settings.sampler,
    // Its queue has a limit, beyond which spans are dropped.
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });
  return {
    tracer: provider.getTracer(part, version),
    close: async () => {
      const limit = new Promise((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS).unref());
      await Promise.race([provider.shutdown().catch(() => undefined), limit]);
    },
  };
}
