import { Code, ConnectError } from "@connectrpc/connect";

const CODES: ReadonlyMap<number, Code> = new Map(
  Object.values(Code)
    .filter((value) => typeof value !== "string")
    .map((code) => [code, code]),
);

/** The error of a gRPC status, whose numbers are Connect's; UNKNOWN for a number that gRPC does not define. */
export function statusError(code: number, message: string): ConnectError {
  return new ConnectError(message, CODES.get(code) ?? Code.Unknown);
}
