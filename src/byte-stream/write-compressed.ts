import type { BlobStore, BlobUpload } from "../blob-store/blob-store.ts";
import { decompressChunks } from "../compression/zstd-streams.ts";
import { notDecompressed } from "../compression/zstd.ts";
import { ZstdFormatError } from "../compression/zstd-frames.ts";
import type { ChargeBytes } from "../quota/charge.ts";
import type { WriteRequests } from "./write-requests.ts";

/** What REAPI has as the committed size of a compressed upload that ended early, since the blob was stored already. */
const ENDED_EARLY = -1;

/**
 * Stores a blob whose bytes come compressed. An upload that breaks off can be taken up as one that is not compressed can:
 * what is committed is counted in uncompressed bytes, and the data behind that come as a zstd stream of their own.
 *
 * @param charge is told of the bytes that the data become and that have not come: those have been counted.
 * @returns the committed size to answer with: where the last message's data ended, in the terms of its write_offset; -1
 * where the blob was there before they had all come; and what a new attempt can build on where they broke off.
 * @throws ConnectError INVALID_ARGUMENT if they are not the blob's, and as `BlobStore.write` does.
 */
export async function writeCompressed(
  blobs: BlobStore,
  upload: BlobUpload,
  requests: WriteRequests,
  charge: ChargeBytes,
): Promise<number> {
  const { digest } = upload;
  const chunks = decompressChunks(digest, requests.offsetBytes, requests.compressedChunks());
  const storedBytes = await blobs.write(upload, requests.offsetBytes, charged(chunks, requests, charge));
  if (storedBytes === digest.sizeBytes) return requests.ended ? requests.endOffsetBytes : ENDED_EARLY;
  if (requests.finished) throw notDecompressed(digest, new ZstdFormatError("are of less than its bytes"));
  return storedBytes;
}

/** The chunks, once those of their bytes are counted that are more than came. */
async function* charged(
  chunks: AsyncIterable<Uint8Array>,
  requests: WriteRequests,
  charge: ChargeBytes,
): AsyncGenerator<Uint8Array, void, undefined> {
  let offsetBytes = requests.offsetBytes;
  let chargedBytes = 0;
  for await (const chunk of chunks) {
    offsetBytes += chunk.length;
    const uncountedBytes = offsetBytes - requests.endOffsetBytes - chargedBytes;
    if (uncountedBytes > 0) {
      await charge(uncountedBytes);
      chargedBytes += uncountedBytes;
    }
    yield chunk;
  }
}
