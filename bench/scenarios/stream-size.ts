/** A blob that is written or read by ByteStream. */
export interface StreamSize {
  /** As in the scenario's name. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly concurrency: number;
  /** How many blobs a run has. */
  readonly operations: number;
}

/** 1 KiB is what Bazel, which uses no batches, sends most. */
export const STREAM_SIZES: readonly StreamSize[] = [
  { name: "1KiB", sizeBytes: 1 << 10, concurrency: 16, operations: 2000 },
  { name: "1MiB", sizeBytes: 1 << 20, concurrency: 4, operations: 64 },
  { name: "64MiB", sizeBytes: 64 << 20, concurrency: 2, operations: 6 },
  { name: "1GiB", sizeBytes: 1 << 30, concurrency: 1, operations: 1 },
];
