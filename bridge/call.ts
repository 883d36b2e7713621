import { finished } from "node:stream";
import { Code } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { ClientCall } from "./client-call.ts";
import { FrameError, FrameScanner } from "./frames.ts";
import { formatGrpcTimeout } from "./grpc-timeout.ts";
import type { BridgeLimits } from "./limits.ts";
import { toGrpcWebRequest } from "./metadata.ts";
import { readResponseHead } from "./response-head.ts";
import { TrailerSplitter } from "./trailer-splitter.ts";
import type { Upstream, UpstreamCall, UpstreamResponse } from "./upstream.ts";
import { cutOff, describeError, malformedResponse, unreachable } from "./upstream-failure.ts";

/** What the calls of one bridge share. */
export interface CallContext {
  readonly upstream: Upstream;
  readonly limits: BridgeLimits;
  readonly logger: Logger;
}

/**
 * Carries a call to the endpoint and back: bytes are moved as they come, in both directions at once and each at the pace
 * of its slower side, and the trailer frame becomes the trailers.
 */
export function carryCall(call: ClientCall, context: CallContext): void {
  const upstreamCall = startUpstreamCall(call, call.path, context);
  call.onceOver(() => {
    upstreamCall.abort();
  });
  sendRequest(call, upstreamCall);
  upstreamCall.response.then(
    (response) => {
      passResponse(call, response, context);
    },
    (error: unknown) => {
      call.finish(unreachable(context.upstream.endpoint, describeError(error)));
    },
  );
}

/**
 * Starts a request to the endpoint on behalf of `call`, with its metadata and what is left of its time. The caller ends it
 * with the call.
 */
export function startUpstreamCall(call: ClientCall, path: string, { upstream }: CallContext): UpstreamCall {
  const headers = toGrpcWebRequest(call.metadata);
  if (call.remainingMs !== undefined) {
    headers["grpc-timeout"] = formatGrpcTimeout(call.remainingMs);
  }
  return upstream.call(path, headers);
}

/** Moves the request's frames to the endpoint. */
export function sendRequest(call: ClientCall, { requestBody }: UpstreamCall): void {
  const frames = new FrameScanner();
  const resume = (): void => {
    call.resumeRequest();
  };
  call.readRequest(
    (chunk) => {
      const fault = faultOf(frames, chunk);
      if (fault !== undefined) {
        call.fail(Code.InvalidArgument, `the request is malformed: ${fault}`);
        return true;
      }
      const ready = requestBody.write(chunk);
      if (!ready) {
        requestBody.once("drain", resume);
      }
      return ready;
    },
    () => {
      if (frames.midFrame) {
        call.fail(Code.InvalidArgument, "the request is malformed: it ends within a message");
      } else {
        requestBody.end();
      }
    },
  );
}

function faultOf(frames: FrameScanner, chunk: Uint8Array): string | undefined {
  try {
    return frames.scan(chunk) < chunk.length ? "it has a gRPC-Web trailer frame" : undefined;
  } catch (error) {
    return asFrameError(error).message;
  }
}

function passResponse(call: ClientCall, response: UpstreamResponse, { upstream, limits }: CallContext): void {
  const { body } = response;
  const head = readResponseHead(response, upstream.endpoint);
  if (head.kind === "not-grpc") {
    call.finish(head.trailers);
    return;
  }
  const splitter = new TrailerSplitter(limits.maxTrailerBytes);
  if (head.kind === "frames") {
    call.begin(head.headers);
    const resume = (): void => {
      body.resume();
    };
    body.on("data", (chunk: Buffer) => {
      try {
        call.write(splitter.push(chunk));
      } catch (error) {
        call.finish(malformedResponse(upstream.endpoint, asFrameError(error)));
      }
      if (call.blocked) {
        body.pause();
        call.onceDrained(resume);
      }
    });
  } else {
    body.resume();
  }
  // Even with the trailers at hand the end is waited for, so that the connection can carry another call.
  finished(body, { writable: false }, (error) => {
    const trailers = head.kind === "trailers-only" ? head.trailers : splitter.trailers;
    call.finish(trailers ?? cutOff(upstream.endpoint, error == null ? "no trailers" : describeError(error)));
  });
}

/** @throws `error` if it is any other. */
function asFrameError(error: unknown): FrameError {
  if (error instanceof FrameError) {
    return error;
  }
  throw error;
}
