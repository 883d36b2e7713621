import { Code, encodeBinaryHeader } from "@connectrpc/connect";
import { type Status, StatusSchema } from "../protos/gen/google/rpc/status_pb.ts";
import { FrameError, TRAILERS_FLAG } from "./frames.ts";
import { isAboutTheCall } from "./metadata.ts";

/**
 * The end of a call: `grpc-status`, perhaps `grpc-message` and `grpc-status-details-bin`, and custom trailers. Several
 * values of one name are joined by commas, as RFC 9110 section 5.3 allows and gRPC reads them.
 */
export type Trailers = Readonly<Record<string, string>>;

export const OK_TRAILERS: Trailers = { "grpc-status": "0" };

/** The trailers of a status that the bridge gives itself. */
export function statusTrailers(code: Code, message: string): Trailers {
  return { "grpc-status": String(code), "grpc-message": encodeStatusMessage(message) };
}

/** The trailers of a call that ends with a status which the endpoint gave in a message. */
export function trailersOfStatus(status: Status): Trailers {
  const { code, message, details } = status;
  return {
    "grpc-status": String(code),
    ...(message !== "" && { "grpc-message": encodeStatusMessage(message) }),
    ...(details.length > 0 && { "grpc-status-details-bin": encodeBinaryHeader(status, StatusSchema) }),
  };
}

/** Percent-encodes as the gRPC protocol wants of `grpc-message`: all but printable ASCII, and the percent sign. */
export function encodeStatusMessage(message: string): string {
  return message
    .toWellFormed()
    .replace(/[^\x20-\x24\x26-\x7e]+/gu, (run) =>
      Array.from(new TextEncoder().encode(run), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(
        "",
      ),
    );
}

/**
 * The trailers with their message encoded no more than it must be. Connect's servers encode all that a URI component
 * can't hold, and some clients decode less than the gRPC protocol asks (grpc-js, what `decodeURI` does): their users would
 * read `%3A` for a colon.
 */
export function withPlainMessage(trailers: Trailers): Trailers {
  const message = trailers["grpc-message"];
  if (message === undefined) return trailers;
  try {
    return { ...trailers, "grpc-message": encodeStatusMessage(decodeURIComponent(message)) };
  } catch {
    // It is not percent-encoded UTF-8; the client may make of it what it can.
    return trailers;
  }
}

const CODES: ReadonlyMap<string | undefined, Code> = new Map(
  Object.values(Code).flatMap((code) => (typeof code === "number" ? [[String(code), code]] : [])),
);

/** The status, or undefined for OK; UNKNOWN where it is missing or no gRPC code, as the gRPC protocol asks. */
export function codeOf(trailers: Trailers): Code | undefined {
  const status = trailers["grpc-status"];
  return status === "0" ? undefined : (CODES.get(status) ?? Code.Unknown);
}

/**
 * Parses the payload of a gRPC-Web trailer frame: an HTTP/1 header block of `name: value` lines.
 * @throws FrameError if it is none.
 */
export function parseTrailers(payload: Uint8Array): Trailers {
  const trailers: Record<string, string> = {};
  // Header values are bytes: read as HTTP/1 reads them, one character each.
  for (const line of Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString("latin1").split("\r\n")) {
    if (line === "") {
      continue;
    }
    const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
    const [, name, value] = match ?? [];
    if (name === undefined || value === undefined) {
      throw new FrameError("the trailer frame is not a block of header lines");
    }
    const key = name.toLowerCase();
    if (!isAboutTheCall(key)) {
      continue;
    }
    const earlier = trailers[key];
    trailers[key] = earlier === undefined ? value : `${earlier}, ${value}`;
  }
  return "grpc-status" in trailers
    ? trailers
    : { ...trailers, ...statusTrailers(Code.Unknown, "the endpoint's trailers have no grpc-status") };
}

/**
 * Trailers that a client reads whose header list may be `maxHeaderListBytes` long (HTTP/2 counts 32 bytes beside each
 * name and value). A client kills the stream of a longer list and shows no status at all, so the details are left out,
 * then all but the status and as much of its message as fits.
 */
export function fitTrailers(trailers: Trailers, maxHeaderListBytes: number): Trailers {
  if (headerListBytes(trailers) <= maxHeaderListBytes) {
    return trailers;
  }
  const undetailed = { ...trailers };
  delete undetailed["grpc-status-details-bin"];
  if (headerListBytes(undetailed) <= maxHeaderListBytes) {
    return undetailed;
  }
  const status = String(codeOf(trailers) ?? 0);
  const room = maxHeaderListBytes - headerListBytes({ "grpc-status": status, "grpc-message": "" });
  // Cut between characters, each of which may be three: %C3.
  const message = (trailers["grpc-message"] ?? "").slice(0, Math.max(room, 0)).replace(/%.?$/, "");
  return { "grpc-status": status, "grpc-message": message };
}

function headerListBytes(trailers: Trailers): number {
  return Object.entries(trailers).reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}

/** @throws FrameError if the frame is not one of uncompressed trailers. */
export function readTrailerFrame(frame: { readonly flags: number; readonly payload: Uint8Array }): Trailers {
  if (frame.flags !== TRAILERS_FLAG) {
    throw new FrameError(`the trailer frame has the flags 0x${frame.flags.toString(16)}; 0x80 is what is read here`);
  }
  return parseTrailers(frame.payload);
}
