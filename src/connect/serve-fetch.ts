import {
  universalServerResponseToFetch,
  type UniversalHandler,
  type UniversalServerRequest,
} from "@connectrpc/connect/protocol";
import { readChunks } from "../bytes/read-chunks.ts";

const MAX_CHUNK_BYTES = 64 << 10;

/** Serves a call that came as a fetch request. Requests and responses stream, both ways at once. */
export async function serveFetch(handler: UniversalHandler, request: Request): Promise<Response> {
  const universal: UniversalServerRequest = {
    // The platform's HTTP ends before the Worker; handlers only ask whether it is HTTP/1.1, for what that can't do.
    httpVersion: "2",
    method: request.method,
    url: request.url,
    header: request.headers,
    body: bodyChunks(request),
    signal: request.signal,
  };
  return universalServerResponseToFetch(await handler(universal));
}

/** Connect's own conversion reads 4 KiB at a time, which costs a large message a hundred rounds. */
async function* bodyChunks(request: Request): AsyncGenerator<Uint8Array, void, undefined> {
  const body: ReadableStream<Uint8Array> | null = request.body;
  if (body === null) return;
  const announced = Number(request.headers.get("content-length") ?? MAX_CHUNK_BYTES);
  const chunkBytes = Math.min(Math.max(announced, 1), MAX_CHUNK_BYTES) || MAX_CHUNK_BYTES;
  yield* readChunks(body, chunkBytes);
}
