import { decompressTrailers } from "./compressed-trailers.ts";
import { COMPRESSED_FLAG, type Frame, FrameError, FrameReader, FrameScanner, TRAILERS_FLAG } from "./frames.ts";
import { parseTrailers, readTrailerFrame, type Trailers } from "./trailers.ts";

/** Parts the frames of a gRPC-Web response: messages are passed on as they come, the trailer frame is kept. */
export class TrailerSplitter {
  readonly #scanner = new FrameScanner();
  readonly #reader: FrameReader;
  readonly #maxTrailerBytes: number;
  readonly #encoding: string | undefined;
  #inTrailers = false;
  #trailers: Trailers | undefined;

  /** @param encoding the response's `grpc-encoding` */
  constructor(maxTrailerBytes: number, encoding?: string) {
    this.#reader = new FrameReader(maxTrailerBytes);
    this.#maxTrailerBytes = maxTrailerBytes;
    this.#encoding = encoding;
  }

  /** The trailers, once their frame is whole. */
  get trailers(): Trailers | undefined {
    return this.#trailers;
  }

  /**
   * Takes the next chunk and returns those of its bytes that belong to messages.
   * @throws FrameError on a malformed frame, or anything after the trailers.
   */
  push(chunk: Uint8Array): Uint8Array {
    const messageBytes = this.#inTrailers ? 0 : this.#scanner.scan(chunk);
    if (messageBytes === chunk.length) {
      return chunk;
    }
    this.#inTrailers = true;
    for (const frame of this.#reader.push(chunk.subarray(messageBytes))) {
      if (this.#trailers !== undefined) {
        throw new FrameError("a frame comes after the trailers");
      }
      this.#trailers = this.#read(frame);
    }
    return chunk.subarray(0, messageBytes);
  }

  #read(frame: Frame): Trailers {
    return frame.flags === (TRAILERS_FLAG | COMPRESSED_FLAG)
      ? parseTrailers(decompressTrailers(frame.payload, this.#encoding, this.#maxTrailerBytes))
      : readTrailerFrame(frame);
  }
}
