import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { concatenate } from "../bytes/concatenate.ts";
import { Code, ConnectError } from "@connectrpc/connect";
import { digestKey, type Digest } from "../digest/digest.ts";
import { ZstdFormatError, ZstdFrameScanner } from "./zstd-frames.ts";

export const MAX_WINDOW_LOG = 23;

/**
 * How much a frame of ours holds. workerd's compressor fails at the end of any that comes out larger than some 40 KiB
 * (workerd#6769); frames of this size compress within a tenth of what large ones do.
 */
const FRAME_BYTES = 32 << 10;

/** workerd's decompressor refuses some outputs that are just as long as they may be: it makes room in steps. */
const SPARE_BYTES = 64 << 10;

/** Compresses bytes, into one frame for each 32 KiB. */
export function compressZstd(bytes: Uint8Array): Uint8Array {
  const frames: Uint8Array[] = [];
  let position = 0;
  // Nothing is a frame, too.
  do frames.push(zstdCompressSync(bytes.subarray(position, (position += FRAME_BYTES))));
  while (position < bytes.length);
  return concatenate(frames);
}

/**
 * The bytes of a small blob that came compressed, no more of them than its digest says. They are still to be verified.
 * @throws ConnectError INVALID_ARGUMENT if they are not zstd, or decompress to more.
 */
export function decompressZstd(digest: Digest, compressed: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  let leftBytes = digest.sizeBytes;
  try {
    for (let rest = compressed; rest.length > 0;) {
      const scanner = new ZstdFrameScanner();
      const { lengthBytes, ended } = scanner.scan(rest);
      if (!ended) throw new ZstdFormatError("end within a frame");
      if (scanner.windowBytes !== 0) {
        const piece = zstdDecompressSync(rest.subarray(0, lengthBytes), {
          maxOutputLength: leftBytes + SPARE_BYTES,
          params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
        });
        leftBytes -= piece.length;
        if (leftBytes < 0) throw new ZstdFormatError("are of more than its bytes");
        pieces.push(piece);
      }
      rest = rest.subarray(lengthBytes);
    }
  } catch (error) {
    throw notDecompressed(digest, error);
  }
  return concatenate(pieces);
}

/** INVALID_ARGUMENT: the data that came for a blob are not what it is when compressed. */
export function notDecompressed(digest: Digest, cause: unknown): ConnectError {
  const why = cause instanceof ZstdFormatError ? cause.message : "are damaged, or of more than its bytes";
  return new ConnectError(
    `the data of blob ${digestKey(digest)} can't be decompressed as zstd: they ${why}`,
    Code.InvalidArgument,
    undefined,
    undefined,
    cause,
  );
}
