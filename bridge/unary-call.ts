import type { OutgoingHttpHeaders } from "node:http";
import { type DescMessage, type DescMethodUnary, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { describeError } from "../endpoint/describe-error.ts";
import { type CallContext, type Caller, startUpstreamCall } from "./call.ts";
import type { ClientCall } from "./client-call.ts";
import { expectEnd } from "./expect-end.ts";
import { encodeFrame, FrameError, FrameReader, TRAILERS_FLAG } from "./frames.ts";
import { pathOf } from "./method-path.ts";
import { Repeats } from "./repeats.ts";
import { readResponseHead } from "./response-head.ts";
import { codeOf, OK_TRAILERS, readTrailerFrame, type Trailers } from "./trailers.ts";
import type { UpstreamCall } from "./upstream.ts";
import { cutOff, malformedResponse, unreachable } from "./upstream-failure.ts";

/** How the endpoint answered a call that has one response message. */
export interface UnaryAnswer<Message> {
  readonly headers: OutgoingHttpHeaders;
  /** Undefined unless the status is OK. */
  readonly message: Message | undefined;
  readonly trailers: Trailers;
  /** There is no answer: the connection failed first, perhaps after the call had its effect. */
  readonly broken?: true;
}

/** Calls a unary method of the endpoint, again if the connection breaks and the method is repeatable. Never rejects. */
export async function callUnary<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  caller: Caller,
  context: CallContext,
  signal: AbortSignal,
): Promise<UnaryAnswer<MessageShape<O>>> {
  const repeats = new Repeats(pathOf(method), context.limits);
  for (;;) {
    const answer = await callOnce(method, request, caller, context, signal);
    if (answer.broken === undefined || !(await repeats.next(signal))) return answer;
  }
}

async function callOnce<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  caller: Caller,
  context: CallContext,
  signal: AbortSignal,
): Promise<UnaryAnswer<MessageShape<O>>> {
  const upstreamCall = startUpstreamCall(caller, pathOf(method), context);
  const abort = (): void => {
    upstreamCall.abort();
  };
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  upstreamCall.requestBody.end(encodeFrame(toBinary(method.input, request)));
  const answer = await readUnaryAnswer(upstreamCall, method.output, context);
  signal.removeEventListener("abort", abort);
  return answer;
}

/** Reads the response of a call that has one message. Never rejects: what goes wrong is a status. */
export async function readUnaryAnswer<O extends DescMessage>(
  upstreamCall: UpstreamCall,
  schema: O,
  { upstream: { endpoint }, limits }: CallContext,
): Promise<UnaryAnswer<MessageShape<O>>> {
  const reader = new FrameReader(limits.maxMessageBytes);
  let headers: OutgoingHttpHeaders | undefined;
  let message: MessageShape<O> | undefined;
  let trailers: Trailers | undefined;
  const abort = (): void => {
    upstreamCall.abort();
  };
  const ended = (end: Trailers): UnaryAnswer<MessageShape<O>> => {
    const ok = codeOf(end) === undefined;
    return ok && message === undefined
      ? ended(malformedResponse(endpoint, new FrameError("it is OK, but has no message")))
      : { headers: headers ?? {}, message: ok ? message : undefined, trailers: end };
  };
  const brokenOff = (reason: string): UnaryAnswer<MessageShape<O>> => ({
    ...ended(headers === undefined ? unreachable(endpoint, reason) : cutOff(endpoint, reason)),
    broken: true,
  });
  try {
    const response = await upstreamCall.response;
    const head = readResponseHead(response, endpoint);
    if (head.kind !== "frames") {
      expectEnd(response.body.resume(), abort);
      return ended(head.trailers);
    }
    headers = head.headers;
    const chunks: AsyncIterable<Uint8Array> = response.body;
    for await (const chunk of chunks) {
      for (const frame of reader.push(chunk)) {
        if (trailers !== undefined) throw new FrameError("a frame comes after the trailers");
        if ((frame.flags & TRAILERS_FLAG) !== 0) {
          trailers = readTrailerFrame(frame);
          expectEnd(response.body, abort);
        } else if (message !== undefined || frame.flags !== 0) {
          throw new FrameError("it is not one uncompressed message");
        } else {
          message = decode(schema, frame.payload);
        }
      }
    }
    return trailers === undefined ? brokenOff("no trailers") : ended(trailers);
  } catch (error) {
    if (error instanceof FrameError) return ended(malformedResponse(endpoint, error));
    if (trailers !== undefined) return ended(trailers);
    return brokenOff(describeError(error));
  }
}

/** Passes the endpoint's answer on, with its metadata; the message may have been changed. */
export function passAnswer<O extends DescMessage>(
  call: ClientCall,
  schema: O,
  { headers, message, trailers }: UnaryAnswer<MessageShape<O>>,
): void {
  if (message !== undefined || Object.keys(headers).length > 0) call.begin(headers);
  if (message !== undefined) call.write(encodeFrame(toBinary(schema, message)));
  call.finish(trailers);
}

/** Answers a client's call with one message of the bridge's own, and OK. */
export function answerUnary<O extends DescMessage>(call: ClientCall, schema: O, message: MessageShape<O>): void {
  passAnswer(call, schema, { headers: OWN_HEADERS, message, trailers: OK_TRAILERS });
}

/** The headers of a response that is not the endpoint's. */
export const OWN_HEADERS: OutgoingHttpHeaders = { "content-type": "application/grpc+proto" };

function decode<O extends DescMessage>(schema: O, payload: Uint8Array): MessageShape<O> {
  try {
    return fromBinary(schema, payload);
  } catch (error) {
    throw new FrameError(`a message is no ${schema.typeName}`, { cause: error });
  }
}
