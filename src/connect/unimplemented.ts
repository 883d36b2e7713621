import { Code, ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, errorToJson } from "@connectrpc/connect/protocol-connect";
import { streamProtocolOf } from "./stream-protocol.ts";

const MAX_PATH_CHARACTERS = 256;

/**
 * The answer to a call of a method that does not exist, in the protocol that its content type asks for, or undefined if
 * the request is no call.
 */
export function unimplementedResponse(request: Request): Response | undefined {
  if (request.method !== "POST") return undefined;
  const contentType = request.headers.get("content-type") ?? "";
  const { pathname } = new URL(request.url);
  const error = new ConnectError(
    `there is no method ${pathname.slice(1, 1 + MAX_PATH_CHARACTERS)} here`,
    Code.Unimplemented,
  );
  const streamProtocol = streamProtocolOf(contentType);
  if (streamProtocol !== undefined) {
    return new Response(streamProtocol.endFrame(error), { headers: { "content-type": contentType } });
  }
  // Connect's unary calls.
  if (/^application\/(proto|json)\b/.test(contentType)) {
    return Response.json(errorToJson(error, undefined), { status: codeToHttpStatus(error.code) });
  }
  return undefined;
}
