import { fromBinary } from "@bufbuild/protobuf";
import { decodeBinaryHeader } from "@connectrpc/connect";
import {
  type RequestMetadata,
  RequestMetadataSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/** As REAPI's comment on RequestMetadata names it. */
const HEADER = "build.bazel.remote.execution.v2.requestmetadata-bin";

/** Which build and tool a call belongs to. It only informs, so one that can't be read is as good as none. */
export function requestMetadata(headers: Headers): RequestMetadata | undefined {
  const value = headers.get(HEADER);
  if (value === null) return undefined;
  try {
    return fromBinary(RequestMetadataSchema, decodeBinaryHeader(value));
  } catch {
    return undefined;
  }
}
