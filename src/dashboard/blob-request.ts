import { Code, ConnectError } from "@connectrpc/connect";
import { digestFunctionByName } from "../digest/digest-function.ts";
import { type Digest, digestKey, parseDigest } from "../digest/digest.ts";

/** The segments of a path that name a blob. */
export interface BlobSegments {
  readonly function: string;
  readonly hash: string;
  readonly size: string;
}

/** @throws ConnectError INVALID_ARGUMENT if they name none */
export function blobOf({ function: functionName, hash, size }: BlobSegments): Digest {
  const digestFunction = digestFunctionByName(functionName);
  if (digestFunction === undefined || !/^\d{1,16}$/.test(size)) {
    throw new ConnectError("the address names no blob", Code.InvalidArgument);
  }
  return parseDigest(digestFunction, hash, Number(size));
}

/** NOT_FOUND for a blob that a page is about. */
export function blobGone(digest: Digest): ConnectError {
  return new ConnectError(
    `blob ${digestKey(digest)} is no longer in the CAS, or never was; build it again to have it back`,
    Code.NotFound,
  );
}
