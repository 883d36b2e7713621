import type { IncomingHttpHeaders } from "node:http2";
import { Code } from "@connectrpc/connect";
import { type Span, SpanKind, SpanStatusCode, type Tracer } from "@opentelemetry/api";
import { parentContext, TRACEPARENT, traceparentOf } from "../src/tracing/trace-context.ts";
import type { ClientCall } from "./client-call.ts";
import { codeOf } from "./trailers.ts";

/** The span of a client's call, whose parent the client may have named. */
export function startCallSpan(tracer: Tracer, path: string, headers: IncomingHttpHeaders): Span {
  const named = headers[TRACEPARENT];
  const method = path.slice(1);
  const attributes = { "rpc.system.name": "grpc", "rpc.method": method };
  return tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parentContext(String(named ?? "")));
}

/** The metadata by which the endpoint's spans become the children of this one. */
export function withSpan(headers: IncomingHttpHeaders, span: Span): IncomingHttpHeaders {
  return { ...headers, [TRACEPARENT]: traceparentOf(span) };
}

/** Ends the span with its call. */
export function endSpanWith(call: ClientCall, span: Span): void {
  call.onceOver(() => {
    const code = call.trailers === undefined ? Code.Canceled : codeOf(call.trailers);
    span.setAttribute("rpc.response.status_code", code === undefined ? "OK" : Code[code]);
    if (code !== undefined) {
      span.setStatus({
        code: SpanStatusCode.ERROR,
        message: call.trailers?.["grpc-message"] ?? "given up by its client",
      });
    }
    span.end();
  });
}
