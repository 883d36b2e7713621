/** Bytes of a blob, the last not included. */
export interface ByteRange {
  readonly startBytes: number;
  readonly endBytes: number;
}

/**
 * The bytes that a `Range` header asks for, of a blob of `sizeBytes`: "all" where there is no header or one that RFC 9110
 * lets a server ignore (several ranges, another unit, bad syntax), "unsatisfiable" where the blob has none of them.
 */
export function parseByteRange(header: string | null, sizeBytes: number): ByteRange | "all" | "unsatisfiable" {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined || first + last === "") return "all";
  if (first === "") {
    const startBytes = Math.max(sizeBytes - Number(last), 0);
    return startBytes < sizeBytes ? { startBytes, endBytes: sizeBytes } : "unsatisfiable";
  }
  const startBytes = Number(first);
  if (last !== "" && Number(last) < startBytes) return "all";
  const endBytes = last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  return startBytes < endBytes ? { startBytes, endBytes } : "unsatisfiable";
}
