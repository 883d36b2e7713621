import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { digestKey, type Digest } from "../../src/digest/digest.ts";
import { forEachConcurrently } from "../concurrency.ts";
import type { Cas } from "./cas.ts";
import { planTransfers } from "./transfer-plan.ts";

/** A blob to store, in memory or as the first `digest.sizeBytes` bytes of a file that keeps them until it is stored. */
export interface Upload {
  readonly digest: Digest;
  readonly source: Uint8Array | { readonly path: string };
}

const PIECE_BYTES = 1024 * 1024;
const UPLOADS_AT_ONCE = 8;

/** Stores those of `uploads` that the CAS does not have. No call is made for none, or for empty ones only. */
export async function uploadBlobs(cas: Cas, uploads: readonly Upload[], signal: AbortSignal): Promise<void> {
  const distinct = new Map<string, Upload>();
  // The empty blob is always present.
  for (const upload of uploads) if (upload.digest.sizeBytes > 0) distinct.set(digestKey(upload.digest), upload);
  if (distinct.size === 0) return;

  const digests = [...distinct.values()].map(({ digest }) => digest);
  const missing = await cas.batches.findMissing(digests, signal);
  if (missing.length === 0) return;
  const wanted = missing.flatMap((digest) => distinct.get(digestKey(digest)) ?? []);
  const limits = await cas.batches.limits(signal);
  const plan = planTransfers(wanted, ({ digest }) => digest, limits);
  const calls = [
    ...plan.batches.map((batch) => () => uploadBatch(cas, batch, signal)),
    ...plan.streams.map(
      (upload) => () => cas.streams.write(upload.digest, (offset) => pieces(upload, offset), limits.zstd, signal),
    ),
  ];
  await forEachConcurrently(calls, UPLOADS_AT_ONCE, (call) => cas.writeSlots.run(call));
}

async function uploadBatch(cas: Cas, batch: readonly Upload[], signal: AbortSignal): Promise<void> {
  const blobs = await Promise.all(
    batch.map(async ({ digest, source }) => ({
      digest,
      bytes: source instanceof Uint8Array ? source : (await readFile(source.path)).subarray(0, digest.sizeBytes),
    })),
  );
  await cas.batches.write(blobs, signal);
}

async function* pieces({ digest, source }: Upload, offset: number): AsyncGenerator<Uint8Array, void, undefined> {
  if (source instanceof Uint8Array) {
    for (let start = offset; start < source.length; start += PIECE_BYTES) {
      yield source.subarray(start, start + PIECE_BYTES);
    }
    return;
  }
  const file = createReadStream(source.path, {
    start: offset,
    end: digest.sizeBytes - 1,
    highWaterMark: PIECE_BYTES,
  });
  for await (const piece of file) if (piece instanceof Uint8Array) yield piece;
}
