import { fromBinary } from "@bufbuild/protobuf";
import { z } from "zod";
import { StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";

/** How a request was answered, in whatever protocol. */
export interface Answer {
  readonly httpStatus: number;
  /** gRPC's name of the status, `OK` too; `NONE` where the answer is no call's. */
  readonly code: string;
  /** All of it that a person or a client may read. */
  readonly text: string;
}

/** The names of gRPC's codes by number. */
const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

const TRAILERS_FLAG = 0x80;
const CONNECT_END_FLAG = 0x02;

/** Reads an answer by its content type. */
export function readAnswer(httpStatus: number, contentType: string, body: Buffer): Answer {
  if (contentType.startsWith("application/grpc-web")) return streamAnswer(httpStatus, body, TRAILERS_FLAG, trailers);
  if (contentType.startsWith("application/connect+"))
    return streamAnswer(httpStatus, body, CONNECT_END_FLAG, connectEnd);
  const text = body.toString("latin1");
  if (contentType === "application/proto") return { httpStatus, code: "OK", text };
  if (contentType === "application/json" && httpStatus === 200) return { httpStatus, code: "OK", text };
  if (contentType === "application/json") return { httpStatus, ...connectError(body.toString()) };
  return { httpStatus, code: "NONE", text };
}

/** gRPC's name of a code. */
export function codeName(code: number): string {
  return CODES[code] ?? `code ${code}`;
}

type End = Pick<Answer, "code" | "text">;

/** The answer is in the frame that ends the stream; without one the stream was cut. */
function streamAnswer(httpStatus: number, body: Buffer, endFlag: number, read: (payload: Buffer) => End): Answer {
  for (let at = 0; at + 5 <= body.length;) {
    const flags = body[at] ?? 0;
    const payload = body.subarray(at + 5, at + 5 + body.readUInt32BE(at + 1));
    if ((flags & endFlag) !== 0) return { httpStatus, ...read(payload) };
    at += 5 + payload.length;
  }
  return { httpStatus, code: "CUT", text: body.toString("latin1") };
}

function trailers(payload: Buffer): End {
  const lines = new Map(
    payload
      .toString("latin1")
      .split("\r\n")
      .map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
  );
  const details = lines.get("grpc-status-details-bin");
  const said = details === undefined ? "" : fromBinary(StatusSchema, Buffer.from(details, "base64")).message;
  return {
    code: codeName(Number(lines.get("grpc-status"))),
    text: decodeURIComponent(lines.get("grpc-message") ?? "") + said,
  };
}

const connectErrorSchema = z.object({ code: z.string() });
const connectEndSchema = z.object({ error: z.unknown() });

function connectEnd(payload: Buffer): End {
  const { error } = connectEndSchema.parse(JSON.parse(payload.toString()));
  return error === undefined ? { code: "OK", text: "" } : connectError(JSON.stringify(error));
}

function connectError(json: string): End {
  const code = connectErrorSchema.parse(JSON.parse(json)).code.toUpperCase();
  return { code: code === "CANCELED" ? "CANCELLED" : code, text: json };
}
