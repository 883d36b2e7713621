import { DigestFunction_Value as Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/** A digest function that Remex implements, by the lower-case name that REAPI gives it in resource names. */
export interface DigestFunction {
  readonly value: Value;
  /** As in `blobs/{name}/{hash}/{size}`, keys and log lines. */
  readonly name: string;
  /** Length of the hash in lower-case hex digits. */
  readonly hexLength: number;
}

export const SHA256: DigestFunction = { value: Value.SHA256, name: "sha256", hexLength: 64 };

/** Every function that Remex implements; which of them an instance accepts is configuration. */
export const DIGEST_FUNCTIONS: readonly DigestFunction[] = [SHA256];

/** The function named `name` (lower case), or undefined. */
export function digestFunctionByName(name: string): DigestFunction | undefined {
  return DIGEST_FUNCTIONS.find((candidate) => candidate.name === name);
}
