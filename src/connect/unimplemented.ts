const GRPC_UNIMPLEMENTED = "12";

/** A Connect end-of-stream envelope has this flag. */
const END_STREAM_FLAG = 2;

/**
 * The answer to a call of a method that does not exist, in the protocol that its content type asks for, or undefined if
 * the request is no call.
 */
export function unimplementedResponse(request: Request): Response | undefined {
  const type = request.headers.get("content-type") ?? "";
  const { pathname } = new URL(request.url);
  const message = `there is no method ${pathname.slice(1, 257)} here`;
  if (request.method !== "POST") return undefined;
  if (type.startsWith("application/grpc")) {
    // A response of trailers only carries them as headers.
    const headers = { "content-type": type, "grpc-status": GRPC_UNIMPLEMENTED, "grpc-message": encodeURI(message) };
    return new Response(null, { headers });
  }
  const error = { code: "unimplemented", message };
  if (type.startsWith("application/connect+")) {
    return new Response(endOfStream({ error }), { headers: { "content-type": type } });
  }
  if (type.startsWith("application/proto") || type.startsWith("application/json")) {
    return Response.json(error, { status: 501 });
  }
  return undefined;
}

function endOfStream(end: object): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(end));
  const envelope = new Uint8Array(5 + json.length);
  envelope[0] = END_STREAM_FLAG;
  new DataView(envelope.buffer).setUint32(1, json.length);
  envelope.set(json, 5);
  return envelope;
}
