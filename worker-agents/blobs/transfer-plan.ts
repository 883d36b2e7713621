import type { Digest } from "../../src/digest/digest.ts";

/** What one call may carry. */
export interface BatchLimits {
  /** The bytes of all blobs of a batch, and what each needs beside them in a message. */
  readonly maxBatchBytes: number;
  readonly maxBatchCount: number;
  /** A blob larger than this travels by ByteStream, on its own. */
  readonly maxInlineBytes: number;
}

/** How blobs are to be carried. */
export interface TransferLimits extends BatchLimits {
  /** Whether blobs that are read, and those that are written on their own, may be compressed. */
  readonly zstd: boolean;
  /** Whether those of a batch that is written may be. */
  readonly zstdUpdates: boolean;
}

export interface TransferPlan<Item> {
  readonly batches: readonly (readonly Item[])[];
  readonly streams: readonly Item[];
}

/** A digest, its tags and its status, beside the bytes of a blob in a batch. */
const OVERHEAD_BYTES = 128;

/** Divides what is to be sent or fetched into batches of small blobs, in order, and streams of large ones. */
export function planTransfers<Item>(
  items: Iterable<Item>,
  digestOf: (item: Item) => Digest,
  { maxBatchBytes, maxBatchCount, maxInlineBytes }: BatchLimits,
): TransferPlan<Item> {
  const batches: Item[][] = [];
  const streams: Item[] = [];
  let batch: Item[] = [];
  let batchBytes = 0;
  for (const item of items) {
    const { sizeBytes } = digestOf(item);
    const bytes = sizeBytes + OVERHEAD_BYTES;
    if (sizeBytes > maxInlineBytes || bytes > maxBatchBytes) {
      streams.push(item);
      continue;
    }
    if (batch.length === 0 || batch.length >= maxBatchCount || batchBytes + bytes > maxBatchBytes) {
      batch = [];
      batchBytes = 0;
      batches.push(batch);
    }
    batch.push(item);
    batchBytes += bytes;
  }
  return { batches, streams };
}
