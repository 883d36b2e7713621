import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  Execution,
  WaitExecutionRequestSchema,
} from "../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { describeError } from "../endpoint/describe-error.ts";
import { type CallContext, sendRequest, startUpstreamCall } from "./call.ts";
import type { ClientCall } from "./client-call.ts";
import { ExecutionUpdates } from "./execution-updates.ts";
import { expectEnd } from "./expect-end.ts";
import { encodeFrame, FrameError } from "./frames.ts";
import { pathOf } from "./method-path.ts";
import { pause, resumePauseMs } from "./pause.ts";
import { RepeatableRequest } from "./repeatable-request.ts";
import { readResponseHead } from "./response-head.ts";
import { codeOf, type Trailers } from "./trailers.ts";
import type { UpstreamCall } from "./upstream.ts";
import { cutOff, malformedResponse, unreachable } from "./upstream-failure.ts";

const WAIT_EXECUTION = pathOf(Execution.method.waitExecution);

/** What is known of the operation after the attempts so far. */
interface Progress {
  /** By which it can be waited for: that of an operation which is queued at least. */
  name: string | undefined;
  /** Whether the client was told of an operation at all. */
  begun: boolean;
  done: boolean;
  /** When a steady stream said something last, on the clock of `performance.now()`. */
  lastUpdateMs: number;
  attemptsSinceUpdate: number;
}

/**
 * Carries an Execute or WaitExecution. When the endpoint's stream breaks off, or ends well, before the operation is done,
 * it is taken up again by WaitExecution with the operation's name, and the client goes on reading the same stream.
 * REAPI gives clients WaitExecution for this, but they differ in when they use it.
 *
 * An Execute tells of its operation while it looks into the action cache, and only then is the operation queued. Where it
 * breaks off in between, the client holds a name that WaitExecution doesn't know, so the Execute is made again, as the
 * client would have to. Should the lost one be queued all the same, the new one is merged with it or, where actions are
 * not to be merged, the lost one is cancelled for want of a client.
 * @param onDone is told the gRPC code of an operation that is done, 0 for OK, before the client is
 */
export async function carryExecution(
  call: ClientCall,
  context: CallContext,
  onDone: (code: number) => void,
): Promise<void> {
  const { limits, logger } = context;
  const progress: Progress = {
    name: undefined,
    begun: false,
    done: false,
    lastUpdateMs: performance.now(),
    attemptsSinceUpdate: 0,
  };
  const request = new RepeatableRequest(call, limits.repeatableRequestBytes, context.repeatMemory);

  let upstreamCall = startUpstreamCall(call, call.path, context);
  call.onceOver(() => {
    request.release();
    upstreamCall.abort();
  });
  sendRequest(call, upstreamCall, context, request);
  for (;;) {
    const end = await passUpdates(call, upstreamCall, progress, context, onDone);
    if (call.isOver()) {
      return;
    }
    const { name } = progress;
    const leftMs = progress.lastUpdateMs + limits.resumeWindowMs - performance.now();
    const resumable = name !== undefined || (progress.begun && request.isHeld);
    if (progress.done || codeOf(end) !== Code.Unavailable || !resumable || leftMs <= 0) {
      call.finish(end);
      return;
    }
    upstreamCall.abort();
    const attempt = progress.attemptsSinceUpdate++;
    const pauseMs = Math.min(resumePauseMs(attempt, limits), leftMs);
    logger.info({ operation: name, attempt, pauseMs, cause: end["grpc-message"] }, "taking up a cut execution again");
    await pause(pauseMs, call.signal);
    if (call.isOver()) {
      return;
    }
    if (name === undefined) {
      upstreamCall = startUpstreamCall(call, call.path, context);
      sendRequest(call, upstreamCall, context, request);
    } else {
      request.release();
      upstreamCall = startUpstreamCall(call, WAIT_EXECUTION, context);
      upstreamCall.requestBody.end(waitExecution(name));
    }
  }
}

function waitExecution(name: string): Uint8Array {
  return encodeFrame(toBinary(WaitExecutionRequestSchema, create(WaitExecutionRequestSchema, { name })));
}

/** Passes the updates of one attempt on, and returns how it ended: never OK before the operation is done. */
async function passUpdates(
  call: ClientCall,
  upstreamCall: UpstreamCall,
  progress: Progress,
  { upstream: { endpoint }, limits }: CallContext,
  onDone: (code: number) => void,
): Promise<Trailers> {
  const updates = new ExecutionUpdates(limits.maxMessageBytes);
  const silence = setTimeout(() => {
    // A client that doesn't read holds the endpoint's messages back, which is no silence.
    if (call.blocked) {
      silence.refresh();
    } else {
      upstreamCall.abort(new Error(`silent for ${limits.executionSilenceMs} ms`));
    }
  }, limits.executionSilenceMs);
  let answered = false;
  const startMs = performance.now();
  let updateMs: number | undefined;

  try {
    const response = await upstreamCall.response;
    answered = true;
    const head = readResponseHead(response, endpoint);
    if (head.kind !== "frames") {
      return head.trailers;
    }
    call.begin(head.headers);
    const chunks: AsyncIterable<Uint8Array> = response.body;
    let ending = false;
    for await (const chunk of chunks) {
      for (const { bytes, name, queued, done, code } of updates.push(chunk)) {
        if (done) onDone(code);
        call.write(bytes);
        progress.begun = true;
        if (queued && name !== "") progress.name = name;
        progress.done ||= done;
        await call.drained();
        updateMs = performance.now();
        silence.refresh();
      }
      if (updates.trailers !== undefined && !ending) {
        ending = true;
        expectEnd(response.body, () => {
          upstreamCall.abort();
        });
      }
    }
    return endWith(updates.trailers ?? cutOff(endpoint, "no trailers"), progress, endpoint);
  } catch (error) {
    if (error instanceof FrameError) {
      return malformedResponse(endpoint, error);
    }
    // What it said counts, though the connection breaks after it.
    if (updates.trailers !== undefined) return endWith(updates.trailers, progress, endpoint);
    const reason = describeError(error);
    return answered ? cutOff(endpoint, reason) : unreachable(endpoint, reason);
  } finally {
    clearTimeout(silence);
    if (updateMs !== undefined && performance.now() - startMs >= limits.steadyStreamMs) {
      progress.lastUpdateMs = updateMs;
      progress.attemptsSinceUpdate = 0;
    }
  }
}

function endWith(trailers: Trailers, { done }: Progress, endpoint: URL): Trailers {
  return codeOf(trailers) === undefined && !done ? cutOff(endpoint, "the operation is not done") : trailers;
}
