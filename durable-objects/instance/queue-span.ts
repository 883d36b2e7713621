import type { Tracer } from "@opentelemetry/api";
import type { ExecutionRequest } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { parentContext } from "../../src/tracing/trace-context.ts";

/** One wait of an execution for an agent, which a lease has ended. */
export interface QueueWait {
  readonly operationName: string;
  /** When the execution first came; a later attempt's wait is the time since then too. */
  readonly queuedAtMs: number;
  readonly leasedAtMs: number;
  /** 1 for the first. */
  readonly attempt: number;
}

/** Tells the trace of the call that asked for the execution how long that waited. */
export function traceQueueWait(tracer: Tracer | undefined, { traceparent }: ExecutionRequest, wait: QueueWait): void {
  if (tracer === undefined || traceparent === "") return;
  const attributes = { "remex.operation": wait.operationName, "remex.attempt": wait.attempt };
  tracer
    .startSpan("queue", { startTime: wait.queuedAtMs, attributes }, parentContext(traceparent))
    .end(wait.leasedAtMs);
}
