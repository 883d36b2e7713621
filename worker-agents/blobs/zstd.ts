import { promisify } from "node:util";
import { zstdCompress } from "node:zlib";
import { decompressZstd } from "../../src/compression/zstd.ts";
import { ZstdFormatError, ZstdFrameScanner } from "../../src/compression/zstd-frames.ts";
import type { Digest } from "../../src/digest/digest.ts";
import { corruptBlobError } from "./corrupt-blob.ts";

/** Smaller blobs gain less than they cost. */
const MIN_BYTES = 512;

/** What is sent compressed must be at most this part of what it is. */
const WORTHWHILE = 0.9;

/** Of a frame, compressed. The Worker's are some 32 KiB, ours a piece. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024;

const compress = promisify(zstdCompress);

/** Whether that many bytes are worth their compression to so many. */
export function isWorthwhile(bytes: number, compressedBytes: number): boolean {
  return compressedBytes <= bytes * WORTHWHILE;
}

/** The bytes as one zstd frame; undefined if that is not worth it. */
export async function compressed(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (bytes.length < MIN_BYTES) return undefined;
  const frame = await compress(bytes);
  return isWorthwhile(bytes.length, frame.length) ? frame : undefined;
}

/** The bytes as one zstd frame. */
export async function compressedFrame(bytes: Uint8Array): Promise<Uint8Array> {
  return compress(bytes);
}

/** The bytes of a blob that came compressed, still to be verified. @throws ConnectError DATA_LOSS */
export function decompressed(digest: Digest, bytes: Uint8Array): Uint8Array {
  try {
    return decompressZstd(digest, bytes);
  } catch {
    throw corruptBlobError(digest);
  }
}

/**
 * The bytes that a zstd stream holds, frame by frame, still to be verified.
 * @throws ConnectError DATA_LOSS if it holds more than the blob, or is no zstd
 */
export async function* decompressedFrames(
  digest: Digest,
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let scanner = new ZstdFrameScanner();
  let frame: Uint8Array[] = [];
  let frameBytes = 0;
  for await (let rest of stream) {
    while (rest.length > 0) {
      const { lengthBytes, ended } = scan(digest, scanner, rest);
      frame.push(rest.subarray(0, lengthBytes));
      frameBytes += lengthBytes;
      rest = rest.subarray(lengthBytes);
      if (ended) {
        yield decompressed(digest, Buffer.concat(frame));
        scanner = new ZstdFrameScanner();
        frame = [];
        frameBytes = 0;
      } else if (frameBytes > MAX_FRAME_BYTES) {
        throw corruptBlobError(digest);
      }
    }
  }
}

function scan(digest: Digest, scanner: ZstdFrameScanner, bytes: Uint8Array): ReturnType<ZstdFrameScanner["scan"]> {
  try {
    return scanner.scan(bytes);
  } catch (error) {
    throw error instanceof ZstdFormatError ? corruptBlobError(digest) : error;
  }
}
