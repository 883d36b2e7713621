/**
 * The frames of gRPC and gRPC-Web, which are the same on the wire: one byte of flags, four bytes of big-endian length,
 * then that many bytes. gRPC-Web adds the flag 0x80 for the frame that carries the trailers.
 */
export const PREFIX_BYTES = 5;

export const COMPRESSED_FLAG = 0x01;
export const TRAILERS_FLAG = 0x80;

/** A stream of frames that breaks the protocol. The message says how, in words fit for a status message. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** One whole frame. */
export interface Frame {
  readonly flags: number;
  /** The prefix and the payload, as they came. */
  readonly bytes: Uint8Array;
  readonly payload: Uint8Array;
}

/** A frame that holds `payload`, uncompressed. Its length is at most 2^32-1. */
export function encodeFrame(payload: Uint8Array, flags = 0): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, flags);
  view.setUint32(1, payload.length);
  bytes.set(payload, PREFIX_BYTES);
  return bytes;
}

/** Follows the frames of a stream of messages through its chunks, holding none of their bytes. */
export class FrameScanner {
  #prefixFilled = 0;
  #remaining = 0;
  /** Of the frame that has begun, beside the prefix. */
  #takenBytes = 0;

  /** Whether the stream may not end here. */
  get midFrame(): boolean {
    return this.#prefixFilled > 0;
  }

  /** How many bytes there have been of a frame that is not whole. */
  get begunBytes(): number {
    return this.#prefixFilled + this.#takenBytes;
  }

  /**
   * Takes the next chunk. Returns how many of its bytes belong to messages: all of them, or those before a trailer frame.
   * After a trailer frame was found, nothing more may be scanned.
   * @throws FrameError on flags that neither gRPC nor gRPC-Web knows.
   */
  scan(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#prefixFilled === 0) {
        const flags = chunk[at] ?? 0;
        if ((flags & TRAILERS_FLAG) !== 0) {
          return at;
        }
        if (flags > COMPRESSED_FLAG) {
          throw new FrameError(`a message frame has the flags 0x${flags.toString(16)}; only 0 and 1 are defined`);
        }
      }
      for (; this.#prefixFilled < PREFIX_BYTES && at < chunk.length; at++, this.#prefixFilled++) {
        if (this.#prefixFilled > 0) {
          this.#remaining = this.#remaining * 256 + (chunk[at] ?? 0);
        }
      }
      const taken = Math.min(this.#remaining, chunk.length - at);
      at += taken;
      if (this.#prefixFilled === PREFIX_BYTES) {
        this.#remaining -= taken;
        this.#takenBytes += taken;
        if (this.#remaining === 0) {
          this.#prefixFilled = 0;
          this.#takenBytes = 0;
        }
      }
    }
    return at;
  }
}

/** Puts whole frames together from chunks, for the few streams whose messages the bridge reads. */
export class FrameReader {
  readonly #maxPayloadBytes: number;
  #parts: Uint8Array[] = [];
  #heldBytes = 0;
  #wantedBytes = PREFIX_BYTES;
  #prefixRead = false;

  constructor(maxPayloadBytes: number) {
    this.#maxPayloadBytes = maxPayloadBytes;
  }

  /** Whether the stream may not end here. */
  get midFrame(): boolean {
    return this.#heldBytes > 0;
  }

  /**
   * Takes the next chunk and returns the frames that it completes.
   * @throws FrameError if a frame announces more than the greatest payload.
   */
  push(chunk: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      const taken = rest.subarray(0, this.#wantedBytes - this.#heldBytes);
      rest = rest.subarray(taken.length);
      this.#parts.push(taken);
      this.#heldBytes += taken.length;
      if (this.#heldBytes < this.#wantedBytes) {
        break;
      }
      const bytes = this.#join();
      if (!this.#prefixRead) {
        this.#prefixRead = true;
        this.#wantedBytes = PREFIX_BYTES + this.#payloadBytes(bytes);
        if (this.#wantedBytes > PREFIX_BYTES) {
          continue;
        }
      }
      frames.push({ flags: bytes[0] ?? 0, bytes, payload: bytes.subarray(PREFIX_BYTES) });
      this.#parts = [];
      this.#heldBytes = 0;
      this.#wantedBytes = PREFIX_BYTES;
      this.#prefixRead = false;
    }
    return frames;
  }

  #join(): Uint8Array {
    const [first] = this.#parts;
    const joined = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
    this.#parts = [joined];
    return joined;
  }

  #payloadBytes(prefix: Uint8Array): number {
    const length = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES).getUint32(1);
    if (length > this.#maxPayloadBytes) {
      throw new FrameError(`a frame announces ${length} bytes; at most ${this.#maxPayloadBytes} are read here`);
    }
    return length;
  }
}
