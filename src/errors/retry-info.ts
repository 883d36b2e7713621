import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";

/** The detail of an error that says when to try again. */
export function retryInfo(retryAfterMs: number): {
  readonly desc: typeof RetryInfoSchema;
  readonly value: MessageInitShape<typeof RetryInfoSchema>;
} {
  return { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryAfterMs) } };
}

/** What an error says of when to try again; undefined if it says nothing. */
export function retryAfterMsOf(error: ConnectError): number | undefined {
  const [info] = error.findDetails(RetryInfoSchema);
  return info?.retryDelay && durationMs(info.retryDelay);
}
