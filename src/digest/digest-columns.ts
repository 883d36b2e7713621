import { bytesToHex } from "@noble/hashes/utils.js";
import { parseDigest, type Digest } from "./digest.ts";
import type { DigestFunction } from "./digest-function.ts";

/** Digests of one function, of which there may be so many that an object for each costs more than what is done with it. */
export interface DigestColumns {
  readonly digestFunction: DigestFunction;
  readonly count: number;
  /** The bytes of their hashes, one right after the other. */
  readonly hashes: Uint8Array;
  /** In bytes, integers from 0 to 2^53-1. */
  readonly sizes: ArrayLike<number>;
}

/** How many bytes a hash of these is. */
export function hashBytesOf({ digestFunction }: DigestColumns): number {
  return digestFunction.hexLength / 2;
}

export function digestAt(columns: DigestColumns, position: number): Digest {
  const { digestFunction, hashes, sizes } = columns;
  const hashBytes = hashBytesOf(columns);
  const start = position * hashBytes;
  return parseDigest(digestFunction, bytesToHex(hashes.subarray(start, start + hashBytes)), sizes[position] ?? 0);
}
