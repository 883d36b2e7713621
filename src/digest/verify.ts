import { createHash } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { blake3 } from "@noble/hashes/blake3.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { BLAKE3, type DigestFunction } from "./digest-function.ts";
import { digestKey, type Digest } from "./digest.ts";

/** A hash of bytes that come one after another. */
export interface RunningHash {
  update(bytes: Uint8Array): RunningHash;
  digest(encoding: "hex"): string;
}

/** Hashes bytes as they pass: natively, but for BLAKE3, which neither Node nor workerd has. */
export function startHash(digestFunction: DigestFunction): RunningHash {
  return digestFunction === BLAKE3 ? startBlake3() : createHash(digestFunction.name);
}

function startBlake3(): RunningHash {
  const hash = blake3.create();
  const running: RunningHash = {
    update: (bytes) => {
      hash.update(bytes);
      return running;
    },
    digest: () => bytesToHex(hash.digest()),
  };
  return running;
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
