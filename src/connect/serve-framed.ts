import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { pipe, transformSplitEnvelope } from "@connectrpc/connect/protocol";
import { contentTypeStreamProto } from "@connectrpc/connect/protocol-connect";
import { contentTypeProto } from "@connectrpc/connect/protocol-grpc-web";
import { reportedError } from "../errors/unexpected.ts";
import { MAX_REQUEST_MESSAGE_BYTES } from "../limits.ts";
import { RequestBody } from "./request-body.ts";
import { responseStream } from "./response-stream.ts";
import { wholeEnvelopes } from "./whole-messages.ts";
import { streamProtocolOf, type StreamProtocol } from "./stream-protocol.ts";

/** The content types whose messages are protobuf's binary form. */
const BINARY_TYPES = new Set([contentTypeProto, "application/grpc-web", contentTypeStreamProto]);

/**
 * Serves a call of a server-streaming method that makes whole frames of its responses by itself (5 bytes of envelope, then
 * the message), for the sake of the bytes that Connect's way of doing it copies three times. Undefined, with the request
 * untouched, if the call is in JSON or compressed: those go the usual way.
 */
export function serveFramed<T extends DescMessage>(
  request: Request,
  requestType: T,
  method: (message: MessageShape<T>, signal: AbortSignal) => AsyncIterable<Uint8Array>,
): Response | undefined {
  const contentType = request.headers.get("content-type") ?? "";
  const protocol = BINARY_TYPES.has(contentType) ? streamProtocolOf(contentType) : undefined;
  if (protocol === undefined || isCompressed(request.headers)) return undefined;
  const gone = new AbortController();
  const frames = closed(protocol, async function* () {
    yield* method(await onlyMessage(request, requestType), AbortSignal.any([request.signal, gone.signal]));
  });
  const body = responseStream(frames, () => {
    gone.abort();
  });
  return new Response(body, { headers: { "content-type": contentType } });
}

function isCompressed(headers: Headers): boolean {
  return ["grpc-encoding", "connect-content-encoding"].some((name) => (headers.get(name) ?? "identity") !== "identity");
}

/** The frames of a call, and the one that ends it. */
async function* closed(
  protocol: StreamProtocol,
  call: () => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* call();
  } catch (error) {
    yield protocol.endFrame(reportedError(error));
    return;
  }
  yield protocol.endFrame();
}

async function onlyMessage<T extends DescMessage>(request: Request, type: T): Promise<MessageShape<T>> {
  const messages: Uint8Array[] = [];
  for await (const { flags, data } of pipe(
    // A message that asks for bytes brings none.
    wholeEnvelopes(new RequestBody(request, () => undefined), MAX_REQUEST_MESSAGE_BYTES),
    transformSplitEnvelope(MAX_REQUEST_MESSAGE_BYTES),
  )) {
    if (flags !== 0 || messages.length > 0) break;
    messages.push(data);
  }
  const [message] = messages;
  if (message === undefined) throw new ConnectError("the call has no request message", Code.InvalidArgument);
  try {
    return fromBinary(type, message);
  } catch (error) {
    throw new ConnectError("the request message is malformed", Code.InvalidArgument, undefined, undefined, error);
  }
}
