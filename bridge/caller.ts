import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { RequestMetadataSchema } from "../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { passedOn } from "./metadata.ts";

/** REAPI's RequestMetadata, as the comment on that message names the header. */
const REQUEST_METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin";

/** Metadata that tell one call from the next of the same caller, and change nothing about its answer. */
const ABOUT_ONE_CALL: ReadonlySet<string> = new Set([
  REQUEST_METADATA,
  "b3",
  "baggage",
  "date",
  "grpc-previous-rpc-attempts",
  "grpc-tags-bin",
  "grpc-timeout",
  "grpc-trace-bin",
  "traceparent",
  "tracestate",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-spanid",
  "x-b3-traceid",
  "x-request-id",
]);

/** Who calls, as far as the endpoint could tell: equal for calls that it must answer alike. It gives no secret away. */
export function callerKey(metadata: IncomingHttpHeaders): string {
  const entries = Object.entries(passedOn(metadata)).filter(([name]) => !ABOUT_ONE_CALL.has(name));
  const text = JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  return createHash("sha256").update(text).digest("base64url");
}

/** The metadata of a call that stands for several of one caller: what they have in common. */
export function sharedMetadata(metadata: IncomingHttpHeaders): IncomingHttpHeaders {
  const shared = Object.fromEntries(Object.entries(metadata).filter(([name]) => !ABOUT_ONE_CALL.has(name)));
  const invocation = invocationOf(metadata);
  return invocation === undefined ? shared : { ...shared, [REQUEST_METADATA]: invocation };
}

/** The call's RequestMetadata without what is about one action; undefined where there are none that can be read. */
export function invocationOf(metadata: IncomingHttpHeaders): string | undefined {
  const header = metadata[REQUEST_METADATA];
  if (typeof header !== "string") return undefined;
  try {
    const { toolDetails, toolInvocationId, correlatedInvocationsId } = fromBinary(
      RequestMetadataSchema,
      Buffer.from(header, "base64"),
    );
    const invocation = create(RequestMetadataSchema, {
      ...(toolDetails !== undefined && { toolDetails }),
      toolInvocationId,
      correlatedInvocationsId,
    });
    return Buffer.from(toBinary(RequestMetadataSchema, invocation)).toString("base64").replace(/=+$/, "");
  } catch {
    // The endpoint makes nothing of it either; it only describes the call.
    return undefined;
  }
}
