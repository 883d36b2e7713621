import { pipeline, Readable } from "node:stream";
import { constants, createZstdDecompress, zstdDecompressSync } from "node:zlib";
import { concatenate } from "../bytes/concatenate.ts";
import type { Digest } from "../digest/digest.ts";
import { takeMemory } from "../memory/isolate-memory.ts";
import { compressZstd, MAX_WINDOW_LOG, notDecompressed } from "./zstd.ts";
import { ZstdFormatError, ZstdFrameScanner } from "./zstd-frames.ts";

/** What decompressing takes beside the window: a block in, a block out. */
const DECOMPRESSOR_BYTES = 256 << 10;

/** A frame that is at hand as a whole is decompressed at once if it holds no more. */
const SMALL_FRAME_BYTES = 1 << 20;

/** Compresses bytes as they come. */
export async function* compressChunks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let empty = true;
  for await (const chunk of chunks) {
    empty = false;
    yield compressZstd(chunk);
  }
  if (empty) yield compressZstd(new Uint8Array(0));
}

/**
 * A blob's bytes from `offsetBytes` on, from their compressed form as it comes. The bytes that complete the blob come only
 * when `compressed` has ended, so that nothing is stored of an upload that goes on behind it. Where `compressed` ends too
 * early, so do the bytes. They are still to be verified.
 *
 * @throws ConnectError INVALID_ARGUMENT if the data are not zstd, or of more bytes than the digest says: no more than
 * those are decompressed. UNAVAILABLE if other requests hold too much memory. And what `compressed` throws.
 */
export async function* decompressChunks(
  digest: Digest,
  offsetBytes: number,
  compressed: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let leftBytes = digest.sizeBytes - offsetBytes;
  let last: Uint8Array | undefined;
  for await (const piece of decompressFrames(compressed, digest)) {
    leftBytes -= piece.length;
    if (leftBytes < 0) throw notDecompressed(digest, new ZstdFormatError(`are of more than its bytes`));
    if (leftBytes > 0) yield piece;
    else if (piece.length > 0) last = piece;
  }
  if (last !== undefined) yield last;
}

async function* decompressFrames(
  compressed: AsyncIterable<Uint8Array>,
  digest: Digest,
): AsyncGenerator<Uint8Array, void, undefined> {
  const source = new FrameSource(compressed);
  try {
    for (let frame = await source.next(); frame !== undefined; frame = await source.next()) {
      if (frame.windowBytes === 0) {
        while ((await frame.bytes.next()).done !== true);
        continue;
      }
      const small = frame.whole && decompressSmallFrame(frame.whole);
      if (small !== undefined) {
        yield small;
        continue;
      }
      const release = await takeMemory(frame.windowBytes + DECOMPRESSOR_BYTES);
      try {
        const zstd = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } });
        // Its failures are those of what comes out of it.
        pipeline(Readable.from(frame.bytes), zstd, () => undefined);
        yield* zstd;
      } finally {
        release();
      }
    }
  } catch (error) {
    if (error instanceof FrameCutError) return;
    throw error instanceof ZstdFormatError || isDecompressorError(error) ? notDecompressed(digest, error) : error;
  }
}

/**
 * What a frame holds, if that is not much. Bazel makes a frame of each 16 KiB (bazel#16808), and a decompressor as a stream
 * takes longer to be made than for that.
 */
function decompressSmallFrame(frame: Uint8Array): Uint8Array | undefined {
  try {
    return zstdDecompressSync(frame, {
      maxOutputLength: SMALL_FRAME_BYTES,
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
  } catch {
    // It is larger or damaged; the other way will tell.
    return undefined;
  }
}

function isDecompressorError(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_ZSTD_DECOMPRESSION_FAILED";
}

/** The data ended within a frame. */
class FrameCutError extends Error {
  override readonly name = "FrameCutError";
}

/** One frame of a zstd stream. */
interface Frame {
  readonly windowBytes: number;
  /** All of its bytes, compressed, if they are at hand already. */
  readonly whole: Uint8Array | undefined;
  /** Its bytes, compressed; to be read to the end before the next frame. Throws FrameCutError where they are cut. */
  readonly bytes: AsyncGenerator<Uint8Array, void, undefined>;
}

/** Cuts a zstd stream into its frames. */
class FrameSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /**
   * The next frame, as far as its header; undefined at the end.
   * @throws ZstdFormatError if there is something else, FrameCutError if it is cut.
   */
  async next(): Promise<Frame | undefined> {
    if (!(await this.#fill())) return undefined;
    const scanner = new ZstdFrameScanner();
    const begun: Uint8Array[] = [];
    for (;;) {
      const { bytes, ended } = this.#takePart(scanner);
      begun.push(bytes);
      const { windowBytes } = scanner;
      if (windowBytes !== undefined) {
        const whole = ended ? concatenate(begun) : undefined;
        return { windowBytes, whole, bytes: this.#bytesOf(scanner, begun, ended) };
      }
      if (!(await this.#fill())) throw new FrameCutError();
    }
  }

  async *#bytesOf(
    scanner: ZstdFrameScanner,
    begun: readonly Uint8Array[],
    whole: boolean,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    yield* begun;
    for (let ended = whole; !ended;) {
      if (!(await this.#fill())) throw new FrameCutError();
      const part = this.#takePart(scanner);
      ended = part.ended;
      yield part.bytes;
    }
  }

  /** Takes what is at hand of the frame that the scanner is in. */
  #takePart(scanner: ZstdFrameScanner): { bytes: Uint8Array; ended: boolean } {
    const { lengthBytes, ended } = scanner.scan(this.#rest);
    const bytes = this.#rest.subarray(0, lengthBytes);
    this.#rest = this.#rest.subarray(lengthBytes);
    return { bytes, ended };
  }

  /** Has bytes at hand, unless there are none any more. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return false;
      this.#rest = next.value;
    }
    return true;
  }
}
