import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { PreconditionFailureSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { blobResourceName } from "../byte-stream/resource-name.ts";
import type { Digest } from "../digest/digest.ts";

/** How many blobs the message names; the detail names them all. */
const NAMED_IN_MESSAGE = 3;

/**
 * Blobs that the request needs are not in the CAS. The detail is the one that REAPI's comment on Execute asks for, and
 * that makes clients upload them and try again: a violation of type MISSING for each blob.
 */
export function missingBlobsError(digests: readonly Digest[], code: Code = Code.FailedPrecondition): ConnectError {
  const subjects = digests.map(blobResourceName);
  const detail = create(PreconditionFailureSchema, {
    violations: subjects.map((subject) => ({ type: "MISSING", subject })),
  });
  const named = subjects.slice(0, NAMED_IN_MESSAGE).join(", ");
  const more = subjects.length > NAMED_IN_MESSAGE ? ` and ${subjects.length - NAMED_IN_MESSAGE} more` : "";
  return new ConnectError(`not in the CAS: ${named}${more}; upload what is missing and try again`, code, undefined, [
    { desc: PreconditionFailureSchema, value: detail },
  ]);
}
