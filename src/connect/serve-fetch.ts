import { type ContextValues, createContextValues } from "@connectrpc/connect";
import { type UniversalHandler, universalServerResponseToFetch } from "@connectrpc/connect/protocol";
import { concatenate } from "../bytes/concatenate.ts";
import { MAX_REQUEST_MESSAGE_BYTES } from "../limits.ts";
import { type MessageAside, withAnswer, withoutAside } from "./message-aside.ts";
import { openCallKey } from "./open-call.ts";
import { type CountBytes, RequestBody } from "./request-body.ts";
import { responseStream } from "./response-stream.ts";
import { wholeBody, wholeEnvelopes } from "./whole-messages.ts";

/** Connect's calls of one message each way, whose bodies are the message. */
const UNARY_TYPE = /^application\/(proto|json)\b/;

/**
 * Serves a call that came as a fetch request. Requests and responses stream, both ways at once.
 * @param received is told of the bytes of the body, with what the call's context knows by then, and when the call has begun
 * to answer: then a message that it had to hold is used up
 * @param aside where not all of the message is for Connect to decode
 */
export async function serveFetch(
  handler: UniversalHandler,
  request: Request,
  received: {
    count(values: ContextValues, bytes: number): ReturnType<CountBytes>;
    release(): void;
  },
  aside?: MessageAside,
): Promise<Response> {
  const gone = new AbortController();
  const contextValues = createContextValues();
  const incoming = new RequestBody(request, (bytes) => received.count(contextValues, bytes));
  const enveloped = !UNARY_TYPE.test(request.headers.get("content-type") ?? "");
  const { body, header } = wholeMessages(request.headers, incoming, enveloped);
  const answered = handler({
    // The platform's HTTP ends before the Worker; handlers only ask whether it is HTTP/1.1, for what that can't do.
    httpVersion: "2",
    method: request.method,
    url: request.url,
    header,
    body: aside === undefined ? body : withoutAside(body, aside, contextValues, enveloped),
    contextValues,
    signal: AbortSignal.any([request.signal, gone.signal]),
  });
  const end = () => {
    contextValues.get(openCallKey)();
  };
  const { body: answer, ...head } = await answered
    .finally(() => {
      received.release();
    })
    .catch((error: unknown) => {
      end();
      throw error;
    });
  const response = universalServerResponseToFetch(head);
  if (answer === undefined) {
    end();
    await incoming.drain();
    return response;
  }
  const replaced = aside === undefined || !response.ok ? answer : withAnswer(answer, aside, contextValues, enveloped);
  // Of the message that is replaced.
  if (aside !== undefined) response.headers.delete("content-length");
  if (handler.method.methodKind === "unary" && incoming.hasEnded) {
    // It is there as a whole, and most are small: to stream it would cost more than to copy it.
    return new Response(await allOf(replaced).finally(end), response);
  }
  const stream = responseStream(thenDrain(replaced, incoming, end), () => {
    gone.abort();
  });
  return new Response(stream, response);
}

/** The request as Connect may see it: without what makes it take memory before the message has come. */
function wholeMessages(
  headers: Headers,
  incoming: RequestBody,
  enveloped: boolean,
): { readonly header: Headers; readonly body: AsyncIterable<Uint8Array> } {
  if (enveloped) return { header: headers, body: wholeEnvelopes(incoming, MAX_REQUEST_MESSAGE_BYTES) };
  const header = new Headers(headers);
  header.delete("content-length");
  return { header, body: wholeBody(incoming, MAX_REQUEST_MESSAGE_BYTES) };
}

async function allOf(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return concatenate(chunks);
}

async function* thenDrain(
  body: AsyncIterable<Uint8Array>,
  incoming: RequestBody,
  end: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body;
  } finally {
    end();
  }
  await incoming.drain();
}
