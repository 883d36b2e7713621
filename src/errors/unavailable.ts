import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";

/** UNAVAILABLE: a store or an object is overloaded or restarting. Carries a RetryInfo: trying again is safe. */
export function unavailableError(message: string, retryAfterMs: number, cause?: unknown): ConnectError {
  const retryInfo = create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) });
  return new ConnectError(message, Code.Unavailable, undefined, [{ desc: RetryInfoSchema, value: retryInfo }], cause);
}
