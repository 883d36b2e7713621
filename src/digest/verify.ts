import { createHash, type Hash } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import type { DigestFunction } from "./digest-function.ts";
import { digestKey, type Digest } from "./digest.ts";

/** Hashes bytes as they pass, natively. */
export function startHash(digestFunction: DigestFunction): Hash {
  return createHash(digestFunction.name);
}

/** The error to report if `bytes` are not what `digest` says, else undefined. */
export function digestMismatch(digest: Digest, bytes: Uint8Array): ConnectError | undefined {
  if (bytes.length !== digest.sizeBytes) {
    return new ConnectError(
      `blob ${digestKey(digest)} came with ${bytes.length} bytes instead of ${digest.sizeBytes}`,
      Code.InvalidArgument,
    );
  }
  const hash = startHash(digest.digestFunction).update(bytes).digest("hex");
  return hash === digest.hash ? undefined : hashMismatch(digest, hash);
}

/** INVALID_ARGUMENT: the bytes have `hash` (undefined where it is not known) and not the digest's. */
export function hashMismatch(digest: Digest, hash?: string): ConnectError {
  const instead = hash === undefined ? "another hash" : `hash ${hash}`;
  return new ConnectError(`the bytes sent for blob ${digestKey(digest)} have ${instead}`, Code.InvalidArgument);
}
