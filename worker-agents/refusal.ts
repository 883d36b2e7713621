import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { StatusSchema, type Status } from "../protos/gen/google/rpc/status_pb.ts";
import { missingBlobsError } from "../src/errors/missing-blobs.ts";
import type { Digest } from "../src/digest/digest.ts";

/** The action can't run on any machine as it is. The status is for the client, and names what is wrong. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: Status;

  constructor(error: ConnectError) {
    super(error.rawMessage, { cause: error });
    this.status = statusOf(error);
  }
}

/** The action is malformed. */
export function invalidArgument(message: string): Refusal {
  return new Refusal(new ConnectError(message, Code.InvalidArgument));
}

/** Inputs are not in the CAS: FAILED_PRECONDITION, naming all of `digests`, so that the client uploads them. */
export function missingInputs(digests: readonly Digest[]): Refusal {
  return new Refusal(missingBlobsError(digests));
}

/** Runs a parser whose ConnectErrors say that the action is malformed. */
export function refuseMalformed<Result>(parse: () => Result): Result {
  try {
    return parse();
  } catch (error) {
    throw error instanceof ConnectError ? new Refusal(error) : error;
  }
}

/** What an error made in this process says, as google.rpc.Status with its details. */
function statusOf(error: ConnectError): Status {
  const details = error.details.flatMap((detail) =>
    "desc" in detail ? [anyPack(detail.desc, create(detail.desc, detail.value))] : [],
  );
  return create(StatusSchema, { code: error.code, message: error.rawMessage, details });
}
