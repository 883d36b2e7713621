import { Code, ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import { type Span, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { Env } from "../env.ts";
import { requestMetadata } from "../execution/request-metadata.ts";
import { parentContext, TRACEPARENT } from "./trace-context.ts";
import { tracerOf } from "./worker-tracer.ts";

/** Where a service finds the span of the call that it serves; undefined where it isn't traced. */
export const spanKey = createContextKey<Span | undefined>(undefined, { description: "the span of the call" });

/**
 * Makes a span of each call whose caller sends a `traceparent`. The Worker begins no traces of its own: the bridge does, and
 * agents' calls about blobs would make one each.
 */
export function traceCalls(env: Env): Interceptor {
  return (next) => async (request) => {
    const tracer = tracerOf(env, "remex.worker");
    const { header, method, service } = request;
    const traceparent = header.get(TRACEPARENT);
    if (tracer === undefined || traceparent === null) return next(request);
    const span = tracer.startSpan(
      `${service.typeName}/${method.name}`,
      {
        kind: SpanKind.SERVER,
        attributes: { "rpc.system.name": "grpc", "rpc.method": `${service.typeName}/${method.name}` },
      },
      parentContext(traceparent),
    );
    const invocation = span.isRecording() ? requestMetadata(header)?.toolInvocationId : undefined;
    if (invocation !== undefined) span.setAttribute("remex.tool_invocation_id", invocation);
    request.contextValues.set(spanKey, span);
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: traced(response.message, span) };
      endSpan(span);
      return response;
    } catch (error) {
      endSpan(span, error);
      throw error;
    }
  };
}

async function* traced<T>(messages: AsyncIterable<T>, span: Span): AsyncGenerator<T, void, undefined> {
  let failure: unknown;
  try {
    yield* messages;
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    endSpan(span, failure);
  }
}

function endSpan(span: Span, failure?: unknown): void {
  const error = failure === undefined ? undefined : ConnectError.from(failure);
  span.setAttribute("rpc.response.status_code", error === undefined ? "OK" : Code[error.code]);
  if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error.rawMessage });
  span.end();
}
