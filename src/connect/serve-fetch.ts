import { type UniversalHandler, universalServerResponseToFetch } from "@connectrpc/connect/protocol";
import { readChunks } from "../bytes/read-chunks.ts";
import { drain } from "./drain.ts";

const MAX_CHUNK_BYTES = 64 << 10;

/** Serves a call that came as a fetch request. Requests and responses stream, both ways at once. */
export async function serveFetch(handler: UniversalHandler, request: Request): Promise<Response> {
  const gone = new AbortController();
  const incoming = bodyChunks(request);
  const { body, ...head } = await handler({
    // The platform's HTTP ends before the Worker; handlers only ask whether it is HTTP/1.1, for what that can't do.
    httpVersion: "2",
    method: request.method,
    url: request.url,
    header: request.headers,
    // Without `return`: a handler that wants no more must not cancel what is to be drained.
    body: { [Symbol.asyncIterator]: () => ({ next: () => incoming.next() }) },
    signal: AbortSignal.any([request.signal, gone.signal]),
  });
  const response = universalServerResponseToFetch(head);
  if (body === undefined) {
    await drain(incoming);
    return response;
  }
  const stream = responseStream(thenDrain(body, incoming), () => {
    gone.abort();
  });
  return new Response(stream, response);
}

async function* thenDrain(
  body: AsyncIterable<Uint8Array>,
  incoming: AsyncIterator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* body;
  await drain(incoming);
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

/** A request's body. Connect's own conversion reads 4 KiB at a time, which costs a large message a hundred rounds. */
export async function* bodyChunks(request: Request): AsyncGenerator<Uint8Array, void, undefined> {
  const stream: ReadableStream<Uint8Array> | null = request.body;
  if (stream === null) return;
  const announced = Number(request.headers.get("content-length") ?? MAX_CHUNK_BYTES);
  const chunkBytes = Math.min(Math.max(announced, 1), MAX_CHUNK_BYTES) || MAX_CHUNK_BYTES;
  yield* readChunks(stream, { maxBytes: chunkBytes });
}
