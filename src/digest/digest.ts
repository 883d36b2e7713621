import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  DigestFunction_Value,
  DigestSchema,
  type Digest as WireDigest,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { DIGEST_FUNCTIONS, type DigestFunction } from "./digest-function.ts";

declare const parsed: unique symbol;

/**
 * The identity of a blob: parsed once at the edge by one of the functions here, and trusted from then on.
 * `hash` is lower-case hex of the function's length, `sizeBytes` a safe integer ≥ 0.
 */
export interface Digest {
  readonly digestFunction: DigestFunction;
  readonly hash: string;
  readonly sizeBytes: number;
  readonly [parsed]: true;
}

/**
 * Parses a digest's parts.
 * @throws ConnectError INVALID_ARGUMENT if the hash or the size is malformed.
 */
export function parseDigest(digestFunction: DigestFunction, hash: string, sizeBytes: bigint | number): Digest {
  if (hash.length !== digestFunction.hexLength || !isLowerCaseHex(hash)) {
    throw new ConnectError(
      `digest hash "${hash.slice(0, 160)}" is not ${digestFunction.hexLength} lower-case hex digits, as ` +
        `${digestFunction.name} needs`,
      Code.InvalidArgument,
    );
  }
  const size = Number(sizeBytes);
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new ConnectError(
      `digest ${hash} has size ${sizeBytes}; a size is an integer from 0 to 2^53-1`,
      Code.InvalidArgument,
    );
  }
  // The one place where a Digest comes into being; the brand exists only for the compiler.
  // eslint-disable-next-line @typescript-eslint/consistent-type-assertions
  return { digestFunction, hash, sizeBytes: size } as Digest;
}

const IS_LOWER_CASE_HEX = new Uint8Array(128);
for (const digit of "0123456789abcdef") IS_LOWER_CASE_HEX[digit.charCodeAt(0)] = 1;

/** Three times as fast as a regular expression, which was a tenth of what FindMissingBlobs of 10,000 digests costs. */
function isLowerCaseHex(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (IS_LOWER_CASE_HEX[text.charCodeAt(i)] !== 1) return false;
  }
  return true;
}

/**
 * Parses a digest message.
 * @param field what the digest is of, for the message, e.g. `action_digest`
 * @throws ConnectError INVALID_ARGUMENT if it is unset or malformed.
 */
export function digestFromWire(digestFunction: DigestFunction, wire: WireDigest | undefined, field: string): Digest {
  if (wire === undefined) {
    throw new ConnectError(`${field} is not set`, Code.InvalidArgument);
  }
  return parseDigest(digestFunction, wire.hash, wire.sizeBytes);
}

export function digestToWire(digest: Digest): WireDigest {
  return create(DigestSchema, { hash: digest.hash, sizeBytes: BigInt(digest.sizeBytes) });
}

/** `{function}/{hash}/{size}`: equal strings are equal digests. */
export function digestKey(digest: Digest): string {
  return `${digest.digestFunction.name}/${digest.hash}/${digest.sizeBytes}`;
}

/**
 * The digest function of a request: the one it names, or for UNKNOWN the one that the length of `hash` gives away, as
 * the comment of REAPI's `digest_function` fields asks for the functions that are older than the field.
 * @throws ConnectError INVALID_ARGUMENT if Remex doesn't implement it or `allowed` doesn't list it.
 */
export function requestDigestFunction(
  value: DigestFunction_Value,
  hash: string | undefined,
  allowed: readonly DigestFunction[] = DIGEST_FUNCTIONS,
): DigestFunction {
  const found =
    value === DigestFunction_Value.UNKNOWN
      ? allowed.find(({ unnamed, hexLength }) => unnamed && (hash === undefined || hexLength === hash.length))
      : allowed.find((candidate) => candidate.value === value);
  if (found === undefined) {
    // Enums are open on the wire: a newer client may send a number that has no name here.
    const named = value in DigestFunction_Value ? DigestFunction_Value[value] : `number ${value}`;
    const what = value === DigestFunction_Value.UNKNOWN ? `of a hash of ${hash?.length ?? 0} characters` : named;
    throw new ConnectError(
      `digest function ${what} is not accepted here; accepted: ${allowed.map(({ name }) => name).join(", ")}`,
      Code.InvalidArgument,
    );
  }
  return found;
}
