import { type Context, isSpanContextValid, ROOT_CONTEXT, type Span, trace, TraceFlags } from "@opentelemetry/api";

/** The header, and the gRPC metadata, of W3C Trace Context. */
export const TRACEPARENT = "traceparent";

/** Version 00; a later one may have more behind it. */
const FORMAT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** In what a span is started whose parent is said by a `traceparent`; a root where there is none that can be read. */
export function parentContext(traceparent: string | null | undefined): Context {
  const [, version, traceId = "", spanId = "", flags = "", more] = FORMAT.exec(traceparent ?? "") ?? [];
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  const spanContext = { traceId, spanId, traceFlags, isRemote: true };
  const readable = version !== undefined && version !== "ff" && (version !== "00" || more === undefined);
  return readable && isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

/** The `traceparent` of what a span's work leads to. */
export function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}
