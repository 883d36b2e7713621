import type { IncomingHttpHeaders } from "node:http";
import { finished } from "node:stream";
import { Code } from "@connectrpc/connect";
import type { Tracer } from "@opentelemetry/api";
import type { Logger } from "pino";
import { describeError } from "../endpoint/describe-error.ts";
import type { ClientCall } from "./client-call.ts";
import { expectEnd } from "./expect-end.ts";
import { FrameError } from "./frames.ts";
import { formatGrpcTimeout } from "./grpc-timeout.ts";
import type { RequestSource } from "./held-request.ts";
import type { BridgeLimits } from "./limits.ts";
import { MessageJoiner } from "./message-joiner.ts";
import { toGrpcWebRequest } from "./metadata.ts";
import { PacedBody } from "./paced-body.ts";
import { RepeatableRequest } from "./repeatable-request.ts";
import { Repeats } from "./repeats.ts";
import type { RequestMemory } from "./request-memory.ts";
import { readResponseHead } from "./response-head.ts";
import { TrailerSplitter } from "./trailer-splitter.ts";
import type { Upstream, UpstreamCall, UpstreamResponse } from "./upstream.ts";
import { cutOff, malformedResponse, unreachable, withoutStatus } from "./upstream-failure.ts";

/** What the calls of one bridge share. */
export interface CallContext {
  readonly upstream: Upstream;
  readonly limits: BridgeLimits;
  readonly logger: Logger;
  /** Of requests that may be sent again. */
  readonly repeatMemory: RequestMemory;
  /** Of messages that are still coming. */
  readonly joinMemory: RequestMemory;
  /** Makes a span of each client's call; undefined where tracing is off. */
  readonly tracer: Tracer | undefined;
}

/**
 * Carries a call to the endpoint and back: bytes are moved as they come, in both directions at once and each at the pace
 * of its slower side, and the trailer frame becomes the trailers. Where the connection fails before there is an answer, a
 * call of a repeatable method is made again.
 * @param request is read from its beginning, where some of it was looked at before
 */
export function carryCall(call: ClientCall, context: CallContext, request: RequestSource = call): void {
  const repeats = new Repeats(call.path, context.limits);
  const repeatable = repeats.areLeft
    ? new RepeatableRequest(request, context.limits.repeatableRequestBytes, context.repeatMemory)
    : undefined;
  let upstreamCall: UpstreamCall | undefined;
  call.onceOver(() => {
    repeatable?.release();
    upstreamCall?.abort();
  });
  const attempt = (): void => {
    upstreamCall = startUpstreamCall(call, call.path, context);
    sendRequest(call, upstreamCall, context, repeatable ?? request);
    upstreamCall.response.then(
      (response) => {
        repeatable?.release();
        passResponse(call, response, context);
      },
      (error: unknown) => {
        void repeatAfter(error);
      },
    );
  };
  const repeatAfter = async (error: unknown): Promise<void> => {
    if (repeatable?.isHeld === true && (await repeats.next(call.signal))) {
      attempt();
    } else {
      call.finish(unreachable(context.upstream.endpoint, describeError(error)));
    }
  };
  attempt();
}

/** On whose behalf the bridge calls: a client's call, or what several have in common. */
export interface Caller {
  readonly metadata: IncomingHttpHeaders;
  /** What is left of its time; undefined without a deadline. */
  readonly remainingMs: number | undefined;
}

/** Starts a request to the endpoint with the caller's metadata and what is left of its time. Whoever starts it ends it. */
export function startUpstreamCall(caller: Caller, path: string, { upstream }: CallContext): UpstreamCall {
  const headers = toGrpcWebRequest(caller.metadata);
  if (caller.remainingMs !== undefined) {
    headers["grpc-timeout"] = formatGrpcTimeout(caller.remainingMs);
  }
  return upstream.call(path, headers);
}

/** Moves the request's frames to the endpoint. */
export function sendRequest(
  call: ClientCall,
  { requestBody }: UpstreamCall,
  { limits, joinMemory }: CallContext,
  request: RequestSource = call,
): void {
  const body = new PacedBody(requestBody);
  const joiner = new MessageJoiner(limits.joinedMessageBytes, joinMemory);
  call.onceOver(() => {
    joiner.flush();
  });
  const resume = (): void => {
    request.resumeRequest();
  };
  request.readRequest(
    (chunk) => {
      let pieces: Uint8Array[];
      try {
        pieces = joiner.push(chunk);
      } catch (error) {
        call.fail(Code.InvalidArgument, `the request is malformed: ${asFrameError(error).message}`);
        return true;
      }
      body.write(pieces);
      if (body.blocked) {
        body.onceDrained(resume);
      }
      return !body.blocked;
    },
    () => {
      if (joiner.midMessage) {
        call.fail(Code.InvalidArgument, "the request is malformed: it ends within a message");
      } else {
        body.end();
      }
    },
  );
}

function passResponse(call: ClientCall, response: UpstreamResponse, { upstream, limits }: CallContext): void {
  const { body } = response;
  const head = readResponseHead(response, upstream.endpoint);
  if (head.kind === "not-grpc") {
    call.finish(head.trailers);
    return;
  }
  const splitter = new TrailerSplitter(limits.maxTrailerBytes, head.kind === "frames" ? head.encoding : undefined);
  let isEmpty = true;
  if (head.kind === "frames") {
    call.begin(head.headers);
  } else {
    expectEnd(body, () => {
      if (isEmpty) call.finish(head.trailers);
    });
  }
  body.once("data", () => {
    isEmpty = false;
    call.begin(head.headers);
  });
  const resume = (): void => {
    body.resume();
  };
  body.on("data", (chunk: Buffer) => {
    try {
      const hadTrailers = splitter.trailers !== undefined;
      call.write(splitter.push(chunk));
      const { trailers } = splitter;
      if (trailers !== undefined && !hadTrailers) {
        expectEnd(body, () => {
          call.finish(trailers);
        });
      }
    } catch (error) {
      call.finish(malformedResponse(upstream.endpoint, asFrameError(error)));
    }
    if (call.blocked) {
      body.pause();
      call.onceDrained(resume);
    }
  });
  // Even with the trailers at hand the end is waited for, so that the connection can carry another call.
  finished(body, { writable: false }, (error) => {
    if (splitter.trailers !== undefined) {
      call.finish(splitter.trailers);
    } else if (isEmpty && head.kind === "trailers-only") {
      call.finish(head.trailers);
    } else if (isEmpty && error == null) {
      call.finish(withoutStatus(upstream.endpoint));
    } else {
      call.finish(cutOff(upstream.endpoint, error == null ? "no trailers" : describeError(error)));
    }
  });
}

/** @throws `error` if it is any other. */
function asFrameError(error: unknown): FrameError {
  if (error instanceof FrameError) {
    return error;
  }
  throw error;
}
