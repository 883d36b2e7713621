import { createReadStream } from "node:fs";
import type { DigestFunction } from "../../src/digest/digest-function.ts";
import { parseDigest, type Digest } from "../../src/digest/digest.ts";
import { startHash } from "../../src/digest/verify.ts";

const PIECE_BYTES = 256 * 1024;

/** The digest of bytes in memory. */
export function digestOf(digestFunction: DigestFunction, bytes: Uint8Array): Digest {
  return parseDigest(digestFunction, startHash(digestFunction).update(bytes).digest("hex"), bytes.length);
}

/** The digest of a file's first `sizeBytes` bytes, or of all of it if it has fewer. */
export async function digestOfFile(
  digestFunction: DigestFunction,
  path: string,
  sizeBytes = Number.MAX_SAFE_INTEGER,
): Promise<Digest> {
  const hash = startHash(digestFunction);
  let length = 0;
  for await (const piece of createReadStream(path, { end: sizeBytes - 1, highWaterMark: PIECE_BYTES })) {
    if (!(piece instanceof Uint8Array)) throw new TypeError("a stream without an encoding yields bytes");
    hash.update(piece);
    length += piece.length;
  }
  return parseDigest(digestFunction, hash.digest("hex"), length);
}
