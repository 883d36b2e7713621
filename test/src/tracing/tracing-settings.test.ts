import { ROOT_CONTEXT, SpanKind } from "@opentelemetry/api";
import { SamplingDecision } from "@opentelemetry/sdk-trace";
import { expect, it } from "vitest";
import { tracingSettings, type TracingVariables } from "../../../src/tracing/tracing-settings.ts";

it.each<[TracingVariables, string | undefined]>([
  [{}, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "" }, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://a", OTEL_SDK_DISABLED: "true" }, undefined],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://a/b/" }, "https://a/b/v1/traces"],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://a", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://b/x" }, "https://b/x"],
])("%j sends to %s", (variables, url) => {
  expect(tracingSettings(variables)?.url).toBe(url);
});

it("headers are pairs, percent-encoded", () => {
  const text = "a=1, b = x%20y=z ,c=100%,=d,e";
  const settings = tracingSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: "https://a", OTEL_EXPORTER_OTLP_HEADERS: text });
  expect(settings?.headers).toEqual({ a: "1", b: "x y=z", c: "100%" });
});

it.each([
  [undefined, true],
  ["1", true],
  ["0", false],
  ["many", true],
])("of traces that begin here the share %j is kept", (share, kept) => {
  const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: "https://a", OTEL_TRACES_SAMPLER_ARG: share };
  const sampled = tracingSettings(variables)?.sampler.shouldSample(
    ROOT_CONTEXT,
    "f".repeat(32),
    "",
    SpanKind.SERVER,
    {},
    [],
  );
  expect(sampled?.decision).toBe(kept ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD);
});
