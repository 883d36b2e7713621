const MIB = 1 << 20;

/** R2 wants parts of one size, of at least 5 MiB, and takes 10,000 of them. */
const MIN_PART_BYTES = 8 * MIB;
const MAX_PARTS = 10_000;

/** The size of every part but the last of a blob: 8 MiB, and more whole MiB only where that would make too many parts. */
export function partSizeFor(sizeBytes: number): number {
  return Math.max(MIN_PART_BYTES, Math.ceil(sizeBytes / MAX_PARTS / MIB) * MIB);
}
