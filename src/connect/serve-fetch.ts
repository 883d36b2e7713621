import { type ContextValues, createContextValues } from "@connectrpc/connect";
import { type UniversalHandler, universalServerResponseToFetch } from "@connectrpc/connect/protocol";
import { type CountBytes, RequestBody } from "./request-body.ts";

/**
 * Serves a call that came as a fetch request. Requests and responses stream, both ways at once.
 * @param count is told of the bytes of the body, with what the call's context knows by then
 */
export async function serveFetch(
  handler: UniversalHandler,
  request: Request,
  count: (values: ContextValues, ...args: Parameters<CountBytes>) => ReturnType<CountBytes>,
): Promise<Response> {
  const gone = new AbortController();
  const contextValues = createContextValues();
  const incoming = new RequestBody(request, (bytes) => count(contextValues, bytes));
  const { body, ...head } = await handler({
    // The platform's HTTP ends before the Worker; handlers only ask whether it is HTTP/1.1, for what that can't do.
    httpVersion: "2",
    method: request.method,
    url: request.url,
    header: request.headers,
    body: incoming,
    contextValues,
    signal: AbortSignal.any([request.signal, gone.signal]),
  });
  const response = universalServerResponseToFetch(head);
  if (body === undefined) {
    await incoming.drain();
    return response;
  }
  const stream = responseStream(thenDrain(body, incoming), () => {
    gone.abort();
  });
  return new Response(stream, response);
}

async function* thenDrain(
  body: AsyncIterable<Uint8Array>,
  incoming: RequestBody,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* body;
  await incoming.drain();
}

/**
 * A client that goes away while a response streams doesn't end the request's own signal: the stream is cancelled. Connect's
 * own conversion passes that on only once the handler gives its next message, which may be never.
 */
export function responseStream(body: AsyncIterable<Uint8Array>, onGone: () => void): ReadableStream<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await chunks.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel() {
      onGone();
      await chunks.return?.();
    },
  });
}
