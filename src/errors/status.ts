import { create } from "@bufbuild/protobuf";
import { AnySchema, anyPack, type Any } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { StatusSchema, type Status } from "../../protos/gen/google/rpc/status_pb.ts";
import { reportedError } from "./unexpected.ts";

export const OK: Status = create(StatusSchema);

const CODES: ReadonlyMap<number, Code> = new Map(
  Object.values(Code)
    .filter((code) => typeof code === "number")
    .map((code) => [code, code]),
);

/** An error as a message's field: what the client would get as the end of the call. */
export function statusOf(error: unknown): Status {
  const reported = reportedError(error);
  return create(StatusSchema, {
    code: reported.code,
    message: reported.rawMessage,
    details: reported.details.map(toAny),
  });
}

function toAny(detail: ConnectError["details"][number]): Any {
  if ("desc" in detail) return anyPack(detail.desc, create(detail.desc, detail.value));
  return create(AnySchema, { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value });
}

/** The error that a status stands for, details included. */
export function errorFromStatus(status: Status): ConnectError {
  const error = new ConnectError(status.message, CODES.get(status.code) ?? Code.Unknown);
  error.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return error;
}
