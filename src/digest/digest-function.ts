import { DigestFunction_Value as Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/** A digest function that Remex implements, by the lower-case name that REAPI gives it in resource names. */
export interface DigestFunction {
  readonly value: Value;
  /** As in `blobs/{name}/{hash}/{size}`, keys and log lines. */
  readonly name: string;
  /** Length of the hash in lower-case hex digits. */
  readonly hexLength: number;
  /**
   * Whether requests and resource names need not name it, since the length of the hash gives it away: true of those that
   * are older than REAPI's `digest_function` fields, as the comments on these say.
   */
  readonly unnamed: boolean;
}

export const SHA256: DigestFunction = { value: Value.SHA256, name: "sha256", hexLength: 64, unnamed: true };
export const BLAKE3: DigestFunction = { value: Value.BLAKE3, name: "blake3", hexLength: 64, unnamed: false };
export const SHA1: DigestFunction = { value: Value.SHA1, name: "sha1", hexLength: 40, unnamed: true };
export const SHA384: DigestFunction = { value: Value.SHA384, name: "sha384", hexLength: 96, unnamed: true };
export const SHA512: DigestFunction = { value: Value.SHA512, name: "sha512", hexLength: 128, unnamed: true };
export const MD5: DigestFunction = { value: Value.MD5, name: "md5", hexLength: 32, unnamed: true };

/** Every function that Remex implements; which of them an instance accepts is configuration. */
export const DIGEST_FUNCTIONS: readonly DigestFunction[] = [SHA256, BLAKE3, SHA1, SHA384, SHA512, MD5];

/** The function named `name` (lower case), or undefined. */
export function digestFunctionByName(name: string): DigestFunction | undefined {
  return DIGEST_FUNCTIONS.find((candidate) => candidate.name === name);
}
