/** What is in one batch. */
export interface BatchShape {
  /** As in the scenario's name. */
  readonly name: string;
  readonly count: number;
  readonly sizeBytes: number;
  /** How many batches a run has. */
  readonly operations: number;
}

/** Blobs that Remex keeps in rows by default, and blobs that it keeps in R2. */
export const BATCH_SHAPES: readonly BatchShape[] = [
  { name: "100x1KiB", count: 100, sizeBytes: 1024, operations: 150 },
  { name: "16x64KiB", count: 16, sizeBytes: 64 * 1024, operations: 40 },
];
