import type { DigestColumnsRequest, DigestsJson } from "./rpc.ts";

/** Digests as a table that a statement reads from its parameters. */
export interface AskedDigests {
  /** Columns `position` (from 0), `digest_function`, `hash` and `size_bytes`; its parameters are ?3 and those behind it. */
  readonly select: string;
  readonly bindings: readonly (number | string | Uint8Array)[];
}

export function askedByJson(digests: DigestsJson): AskedDigests {
  return {
    select: `
      SELECT key AS position, value ->> 0 AS digest_function, unhex(value ->> 1) AS hash, value ->> 2 AS size_bytes
      FROM json_each(?3)`,
    bindings: [digests],
  };
}

export function askedByColumns({ digestFunction, hashBytes, hashes, sizesJson }: DigestColumnsRequest): AskedDigests {
  return {
    select: `
      SELECT key AS position, ?4 AS digest_function, substr(?5, key * ?6 + 1, ?6) AS hash, value AS size_bytes
      FROM json_each(?3)`,
    bindings: [sizesJson, digestFunction, hashes, hashBytes],
  };
}
