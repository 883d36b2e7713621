import { Code, ConnectError } from "@connectrpc/connect";
import type { Status } from "../../protos/gen/google/rpc/status_pb.ts";

/** The error that a call ends with; throws if it succeeds. */
export async function failure(call: Promise<unknown>): Promise<ConnectError> {
  let result: unknown;
  try {
    result = await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call succeeded", { cause: result });
}

/** A status that is an error, as the error that a call would end with; throws if it is none. */
export function statusError(status: Omit<Status, "$typeName"> | undefined): ConnectError {
  if (status === undefined || status.code === 0) throw new Error("the status is OK");
  const code: unknown = status.code;
  const error = new ConnectError(
    status.message,
    Object.values(Code)
      .filter(isCode)
      .find((each) => each === code),
  );
  error.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return error;
}

function isCode(value: string | Code): value is Code {
  return typeof value === "number";
}

export async function toArray<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}
