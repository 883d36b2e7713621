import { parseDigest, type Digest } from "../../src/digest/digest.ts";
import { DIGEST_FUNCTIONS } from "../../src/digest/digest-function.ts";
import type { DigestKey } from "./rpc.ts";

/** Binds a digest: `(digest_function, hash, size_bytes) = (?, unhex(?), ?)`. */
export function digestBindings({ digestFunction, hash, sizeBytes }: DigestKey): [number, string, number] {
  return [digestFunction, hash, sizeBytes];
}

/**
 * The digest of a row.
 * @throws Error if its digest function is not known: a later version has written it
 */
export function digestOfKey({ digestFunction, hash, sizeBytes }: DigestKey): Digest {
  const known = DIGEST_FUNCTIONS.find(({ value }: { readonly value: number }) => value === digestFunction);
  if (known === undefined) throw new Error(`a row has digest function ${digestFunction}, which is not known`);
  return parseDigest(known, hash, sizeBytes);
}
