import { pipeline, Readable } from "node:stream";
import { constants, createZstdDecompress } from "node:zlib";
import { ZstdFrameScanner } from "../../src/compression/zstd-frames.ts";
import { FrameError } from "../frames.ts";
import { describeError } from "../../endpoint/describe-error.ts";
import type { UploadPiece, UploadSource } from "./large-write.ts";

/** 2 to this power is how far back a frame may refer, and so how much memory it takes: what RFC 8878 asks of decoders. */
const MAX_WINDOW_LOG = 23;

const NO_DATA = new Uint8Array();

/** The data of a compressed upload are not what they should be. The message says how, in words fit for a status message. */
export class CompressedDataError extends Error {
  override readonly name = "CompressedDataError";
}

/** Reads a zstd-compressed upload as an uncompressed one. */
export class ZstdSource implements UploadSource {
  readonly #compressed: UploadSource;
  readonly #blob: AsyncIterator<Buffer, undefined>;
  #compressedBytes = 0;
  #blobBytes = 0;
  #begun = false;

  /** @param compressed is to be read from its beginning */
  constructor(compressed: UploadSource) {
    this.#compressed = compressed;
    const zstd = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } });
    // Its failures are those of what comes out of it.
    pipeline(Readable.from(this.#read()), zstd, () => undefined);
    this.#blob = zstd[Symbol.asyncIterator]();
  }

  /** How much of the compressed data has been read. */
  get compressedBytes(): number {
    return this.#compressedBytes;
  }

  /**
   * @throws CompressedDataError if the data are no zstd, don't follow on one another or are not finished; what the
   * compressed upload throws
   */
  async next(): Promise<UploadPiece | undefined> {
    if (!this.#begun) {
      this.#begun = true;
      // The endpoint may know the blob, which spares the wait for what the first data are.
      return { resourceName: "", offset: 0n, data: NO_DATA, endsMessage: true, finishWrite: false };
    }
    try {
      const { value: data, done } = await this.#blob.next();
      const offset = BigInt(this.#blobBytes);
      if (done === true) return { resourceName: "", offset, data: NO_DATA, endsMessage: true, finishWrite: true };
      this.#blobBytes += data.length;
      return { resourceName: "", offset, data, endsMessage: true, finishWrite: false };
    } catch (error) {
      if (error instanceof FrameError || error instanceof CompressedDataError) throw error;
      throw new CompressedDataError(`its data are no zstd stream: ${describeError(error)}`, { cause: error });
    }
  }

  close(): void {
    void this.#blob.return?.();
  }

  /** The compressed data, cut at the ends of frames: Node's decompressor drops what follows one in the same piece. */
  async *#read(): AsyncGenerator<Uint8Array, void, undefined> {
    let scanner = new ZstdFrameScanner();
    for (let write = await this.#compressed.next(); write !== undefined; write = await this.#compressed.next()) {
      if (write.offset !== BigInt(this.#compressedBytes)) {
        throw new CompressedDataError(
          `write_offset ${write.offset} does not follow on the data before it, which end at ${this.#compressedBytes}`,
        );
      }
      this.#compressedBytes += write.data.length;
      for (let rest = write.data; rest.length > 0;) {
        const { lengthBytes, ended } = scanner.scan(rest);
        yield rest.subarray(0, lengthBytes);
        rest = rest.subarray(lengthBytes);
        if (ended) scanner = new ZstdFrameScanner();
      }
      if (write.finishWrite) return;
    }
    throw new CompressedDataError("it ends without finish_write; a compressed upload is sent whole");
  }
}
