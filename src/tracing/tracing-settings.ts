import { ParentBasedSampler, type Sampler, TraceIdRatioBasedSampler } from "@opentelemetry/sdk-trace";

/** OpenTelemetry's own variables, as far as Remex reads them. */
export interface TracingVariables {
  /** Where a collector takes OTLP over HTTP: `/v1/traces` is below it. */
  readonly OTEL_EXPORTER_OTLP_ENDPOINT?: string | undefined;
  /** The very address for traces. */
  readonly OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string | undefined;
  /** Sent along: `name=value,other=value`, percent-encoded. */
  readonly OTEL_EXPORTER_OTLP_HEADERS?: string | undefined;
  readonly OTEL_SDK_DISABLED?: string | undefined;
  readonly OTEL_SERVICE_NAME?: string | undefined;
  /** Which share of the traces that begin here is kept, from 0 to 1. */
  readonly OTEL_TRACES_SAMPLER_ARG?: string | undefined;
}

export interface TracingSettings {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Whoever began a trace decides whether it is kept. */
  readonly sampler: Sampler;
}

/** Undefined where tracing is off, as it is without an endpoint. */
export function tracingSettings(variables: TracingVariables): TracingSettings | undefined {
  const base = variables.OTEL_EXPORTER_OTLP_ENDPOINT;
  const url = variables.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? (base && `${base.replace(/\/+$/, "")}/v1/traces`);
  if (url === undefined || url === "" || variables.OTEL_SDK_DISABLED?.toLowerCase() === "true") return undefined;
  const ratio = Number(variables.OTEL_TRACES_SAMPLER_ARG ?? "1");
  const root = new TraceIdRatioBasedSampler(ratio >= 0 && ratio <= 1 ? ratio : 1);
  return {
    url,
    headers: parseHeaders(variables.OTEL_EXPORTER_OTLP_HEADERS ?? ""),
    sampler: new ParentBasedSampler({ root }),
  };
}

function parseHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const pair of text.split(",")) {
    const [, name, value = ""] = /^\s*([^=\s]+)\s*=(.*)$/.exec(pair) ?? [];
    if (name !== undefined) headers[name] = decoded(value.trim());
  }
  return headers;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    // It is no percent-encoding, and so means itself.
    return value;
  }
}
