import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { IncomingHttpHeaders as IncomingHttp2Headers } from "node:http2";

/**
 * Headers that are about one connection and not about the call (RFC 9110 section 7.6.1; node:http2 refuses them in a
 * response).
 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Headers that describe a body, which is framed anew on the other side. Compressed responses are not asked for: an update
 * of an operation, or an answer for several calls, could not be read.
 */
const ABOUT_THE_BODY: ReadonlySet<string> = new Set([
  "accept-encoding",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "grpc-accept-encoding",
]);

/** Whether a header or trailer is about the call, and so is passed on. One about a body, among trailers, would break the response. */
export function isAboutTheCall(name: string): boolean {
  return !name.startsWith(":") && !HOP_BY_HOP.has(name) && !ABOUT_THE_BODY.has(name);
}

/** The content type of native gRPC; the group is the message format with its plus sign, or nothing. */
const GRPC = /^application\/grpc(\+[a-z0-9.-]+)?(?:\s*;.*)?$/i;
const GRPC_WEB = /^application\/grpc-web(\+[a-z0-9.-]+)?(?:\s*;.*)?$/i;

export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && GRPC.test(contentType);
}

/** Whether the messages are protobuf: the format that is meant where none is named. */
export function isGrpcProto(contentType: string | undefined): boolean {
  const [whole, format = "+proto"] = GRPC.exec(contentType ?? "") ?? [];
  return whole !== undefined && format.toLowerCase() === "+proto";
}

export function isGrpcWeb(contentType: string | undefined): boolean {
  return contentType !== undefined && GRPC_WEB.test(contentType);
}

/** The content type of an answer of the bridge's own to a native call with these headers: of the same message format. */
export function responseContentType(headers: IncomingHttp2Headers): string {
  return `application/grpc${GRPC.exec(headers["content-type"] ?? "")?.[1] ?? "+proto"}`;
}

/**
 * A native call's headers as those of the gRPC-Web request that carries it: all metadata, `grpc-timeout` and
 * `authorization` as they are.
 */
export function toGrpcWebRequest(headers: IncomingHttp2Headers): OutgoingHttpHeaders {
  return {
    ...passedOn(headers),
    "content-type": `application/grpc-web${GRPC.exec(headers["content-type"] ?? "")?.[1] ?? "+proto"}`,
    // A proxy that compressed the body would hide the frames and hold them back.
    "accept-encoding": "identity",
    "x-grpc-web": "1",
  };
}

/** A gRPC-Web response's headers as those of the native response. */
export function toGrpcResponse(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return {
    ...passedOn(headers),
    "content-type": `application/grpc${GRPC_WEB.exec(headers["content-type"] ?? "")?.[1] ?? "+proto"}`,
  };
}

/** Those headers that are about the call, as they are. */
export function passedOn(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const passed: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && isAboutTheCall(name)) {
      passed[name] = value;
    }
  }
  return passed;
}

/** What a response's headers must have for its messages to be read. */
const ESSENTIAL: ReadonlySet<string> = new Set(["content-type", "grpc-encoding"]);

/**
 * A response's headers for a client whose header list may be `maxHeaderListBytes` long (HTTP/2 counts 32 bytes beside each
 * name and value): without the metadata where there are more. Clients end the whole connection over them, with every call.
 */
export function fitHeaders(headers: OutgoingHttpHeaders, maxHeaderListBytes: number): OutgoingHttpHeaders {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    for (const each of [value].flat()) bytes += name.length + String(each).length + 32;
  }
  if (bytes <= maxHeaderListBytes) return headers;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => ESSENTIAL.has(name)));
}
