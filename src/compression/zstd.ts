import { constants, zstdDecompressSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { digestKey, type Digest } from "../digest/digest.ts";

/** 8 MiB, which RFC 8878 asks every decoder to take; what a frame asks for above that would only cost memory. */
const MAX_WINDOW_LOG = 23;

/**
 * The bytes of a small blob that came compressed, no more of them than its digest says. They are still to be verified.
 * @throws ConnectError INVALID_ARGUMENT if they are not zstd, or decompress to more.
 */
export function decompressZstd(digest: Digest, compressed: Uint8Array): Uint8Array {
  try {
    return zstdDecompressSync(compressed, {
      // It takes no 0.
      maxOutputLength: Math.max(digest.sizeBytes, 1),
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
  } catch (error) {
    throw new ConnectError(
      `the data of blob ${digestKey(digest)} do not decompress, as zstd with a window of at most 8 MiB, to its ` +
        `${digest.sizeBytes} bytes`,
      Code.InvalidArgument,
      undefined,
      undefined,
      error,
    );
  }
}
