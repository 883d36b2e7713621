/** 8 MiB, which RFC 8878 asks every decoder to take; what a frame asks for above that would only cost memory. */
export const MAX_WINDOW_BYTES = 8 << 20;

const FRAME_MAGIC = 0xfd2fb528;
/** The last four bits are free. */
const SKIPPABLE_MAGIC = 0x184d2a50;

/** Bytes that are no zstd stream, or none that is taken. The message says why, as an end of "the data …". */
export class ZstdFormatError extends Error {
  override readonly name = "ZstdFormatError";
}

type Field = "magic" | "skippable-size" | "descriptor" | "header" | "block-header" | "checksum";

/**
 * Finds the end of a zstd frame, and the memory that it asks for, without decompressing it (RFC 8878, section 3.1). This is
 * needed since workerd's decompressor stops at the end of the first frame, and a stream may have several: pzstd makes them,
 * and so do we.
 */
export class ZstdFrameScanner {
  /** How far back the frame refers, and so what decompressing it takes; undefined until its header has been seen. */
  windowBytes: number | undefined;
  #ended = false;
  #field: Field = "magic";
  #fieldBytes = 4;
  /** What has come of the present field. */
  #collected: number[] = [];
  /** What is still to come of a block's or a skippable frame's content. */
  #contentBytes = 0;
  #descriptor = 0;
  #lastBlock = false;

  /**
   * Looks at the next bytes.
   * @returns how many of them belong to the frame, and whether it ends with them.
   * @throws ZstdFormatError if they are no frame, or one with a window of more than MAX_WINDOW_BYTES.
   */
  scan(bytes: Uint8Array): { lengthBytes: number; ended: boolean } {
    let position = 0;
    while (position < bytes.length && !this.#ended) {
      if (this.#contentBytes > 0) {
        const passed = Math.min(this.#contentBytes, bytes.length - position);
        this.#contentBytes -= passed;
        position += passed;
        if (this.#contentBytes === 0) this.#endContent();
        continue;
      }
      this.#collected.push(bytes[position++] ?? 0);
      if (this.#collected.length === this.#fieldBytes) {
        const field = Uint8Array.from(this.#collected);
        this.#collected = [];
        this.#endField(field);
      }
    }
    return { lengthBytes: position, ended: this.#ended };
  }

  #expect(field: Field, bytes: number): void {
    this.#field = field;
    this.#fieldBytes = bytes;
  }

  #endField(field: Uint8Array): void {
    switch (this.#field) {
      case "magic": {
        const magic = littleEndian(field);
        if (magic === FRAME_MAGIC) this.#expect("descriptor", 1);
        else if (magic - (magic % 16) === SKIPPABLE_MAGIC) this.#expect("skippable-size", 4);
        else throw new ZstdFormatError("are not zstd");
        break;
      }
      case "skippable-size":
        this.windowBytes = 0;
        // A skippable frame is one block with no header.
        this.#lastBlock = true;
        this.#begin(littleEndian(field));
        break;
      case "descriptor":
        this.#descriptor = field[0] ?? 0;
        this.#expect("header", headerBytes(this.#descriptor));
        break;
      case "header":
        this.windowBytes = windowBytes(this.#descriptor, field);
        if (this.windowBytes > MAX_WINDOW_BYTES) {
          throw new ZstdFormatError(
            `ask for a window of ${this.windowBytes} bytes; at most ${MAX_WINDOW_BYTES} are given`,
          );
        }
        this.#expect("block-header", 3);
        break;
      case "block-header": {
        const header = littleEndian(field);
        this.#lastBlock = (header & 1) === 1;
        const type = (header >> 1) & 3;
        if (type === 3) throw new ZstdFormatError("have a block of an unknown type");
        // A run-length block has one byte, whatever its size.
        this.#begin(type === 1 ? 1 : header >> 3);
        break;
      }
      case "checksum":
        this.#ended = true;
        break;
    }
  }

  #begin(contentBytes: number): void {
    this.#contentBytes = contentBytes;
    if (contentBytes === 0) this.#endContent();
  }

  #endContent(): void {
    if (!this.#lastBlock) this.#expect("block-header", 3);
    else if (hasChecksum(this.#descriptor)) this.#expect("checksum", 4);
    else this.#ended = true;
  }
}

const hasChecksum = (descriptor: number) => (descriptor & 4) !== 0;
const isSingleSegment = (descriptor: number) => (descriptor & 0x20) !== 0;

/** How long the field of the content's size is. */
function contentSizeBytes(descriptor: number): number {
  const flag = descriptor >> 6;
  if (flag === 0) return isSingleSegment(descriptor) ? 1 : 0;
  return 1 << flag;
}

/** How long a frame's header is behind its descriptor: window, dictionary id and content size, each where it is there. */
function headerBytes(descriptor: number): number {
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  return (isSingleSegment(descriptor) ? 0 : 1) + dictionaryIdBytes + contentSizeBytes(descriptor);
}

function windowBytes(descriptor: number, header: Uint8Array): number {
  if (isSingleSegment(descriptor)) {
    // The window is the content. A size of two bytes begins at 256.
    const sizeBytes = contentSizeBytes(descriptor);
    return littleEndian(header.subarray(header.length - sizeBytes)) + (sizeBytes === 2 ? 256 : 0);
  }
  const [window = 0] = header;
  const base = 2 ** (10 + (window >> 3));
  return base + (base / 8) * (window & 7);
}

function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}
