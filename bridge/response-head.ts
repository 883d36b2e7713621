import type { OutgoingHttpHeaders } from "node:http";
import { Code } from "@connectrpc/connect";
import { isGrpcWeb, toGrpcResponse } from "./metadata.ts";
import { statusTrailers, type Trailers } from "./trailers.ts";
import type { UpstreamResponse } from "./upstream.ts";

const STATUS_HEADERS: ReadonlySet<string> = new Set(["grpc-status", "grpc-message", "grpc-status-details-bin"]);

/** What the head of the endpoint's response says about the call. */
export type ResponseHead =
  /** Frames follow. */
  | { readonly kind: "frames"; readonly headers: OutgoingHttpHeaders; readonly encoding: string | undefined }
  /** The status is in the head, and holds if there is no body; where there is one, it ends with another. */
  | { readonly kind: "trailers-only"; readonly trailers: Trailers; readonly headers: OutgoingHttpHeaders }
  /** No answer of a gRPC server; the status says what it means. Its body is of no use. */
  | { readonly kind: "not-grpc"; readonly trailers: Trailers };

export function readResponseHead(response: UpstreamResponse, endpoint: URL): ResponseHead {
  const { httpStatus, headers } = response;
  if (headers["grpc-status"] !== undefined) {
    const passed = toGrpcResponse(headers);
    return { kind: "trailers-only", trailers: asTrailers(passed), headers: withoutStatus(passed) };
  }
  if (httpStatus !== 200) {
    const { code, remedy } = meaningOfHttpStatus(httpStatus);
    const message = `the Remex endpoint ${endpoint.href} answered HTTP ${httpStatus}; ${remedy}`;
    return { kind: "not-grpc", trailers: statusTrailers(code, message) };
  }
  if (!isGrpcWeb(headers["content-type"])) {
    const type = headers["content-type"] ?? "no content type";
    const message = `the Remex endpoint ${endpoint.href} answered ${type}, not gRPC-Web; check that the URL is that of a Remex Worker`;
    return { kind: "not-grpc", trailers: statusTrailers(Code.Unknown, message) };
  }
  const encoding = headers["grpc-encoding"];
  return {
    kind: "frames",
    headers: toGrpcResponse(headers),
    encoding: typeof encoding === "string" ? encoding : undefined,
  };
}

/** The mapping is that of gRPC's "HTTP to gRPC Status Code Mapping", for answers that a gRPC server did not give. */
function meaningOfHttpStatus(status: number): { readonly code: Code; readonly remedy: string } {
  switch (status) {
    case 400:
      return { code: Code.Internal, remedy: "the endpoint, or a proxy before it, could not read the request" };
    case 401:
      return { code: Code.Unauthenticated, remedy: "give the client a valid token" };
    case 403:
      return { code: Code.PermissionDenied, remedy: "the endpoint, or a proxy before it, doesn't allow this call" };
    case 404:
      return { code: Code.Unimplemented, remedy: "it has no such method, or the URL is not that of a Remex Worker" };
    case 429:
    case 502:
    case 503:
    case 504:
      return { code: Code.Unavailable, remedy: "it is overloaded or restarting; try again" };
    default:
      return { code: Code.Unknown, remedy: "check that the URL is that of a Remex Worker, and the Worker's log" };
  }
}

function withoutStatus(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !STATUS_HEADERS.has(name)));
}

function asTrailers(headers: OutgoingHttpHeaders): Trailers {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, [value].flat().join(", ")]],
    ),
  );
}
