import { FrameError, FrameReader, FrameScanner } from "./frames.ts";
import { readTrailerFrame, type Trailers } from "./trailers.ts";

/** Parts the frames of a gRPC-Web response: messages are passed on as they come, the trailer frame is kept. */
export class TrailerSplitter {
  readonly #scanner = new FrameScanner();
  readonly #reader: FrameReader;
  #inTrailers = false;
  #trailers: Trailers | undefined;

  constructor(maxTrailerBytes: number) {
    this.#reader = new FrameReader(maxTrailerBytes);
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
      this.#trailers = readTrailerFrame(frame);
    }
    return chunk.subarray(0, messageBytes);
  }
}
