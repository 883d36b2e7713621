import { Code, ConnectError } from "@connectrpc/connect";
import type { WriteRequest } from "../../protos/gen/google/bytestream/bytestream_pb.ts";

/** The messages of one ByteStream.Write, checked for what ByteStream demands of them. */
export class WriteRequests {
  readonly resourceName: string;
  /** Where in the blob the first message's data begin. */
  readonly offsetBytes: number;
  /** Where the next message's data have to begin. */
  endOffsetBytes: number;
  /** Whether finish_write has come. */
  finished = false;
  /** Whether all data have come: up to finish_write or the end of the stream. */
  ended = false;
  readonly #messages: AsyncIterator<WriteRequest>;
  readonly #first: WriteRequest;

  private constructor(first: WriteRequest, messages: AsyncIterator<WriteRequest>) {
    if (first.writeOffset < 0n || first.writeOffset > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new ConnectError(`write_offset ${first.writeOffset} is out of range`, Code.InvalidArgument);
    }
    this.resourceName = first.resourceName;
    this.offsetBytes = Number(first.writeOffset);
    this.endOffsetBytes = this.offsetBytes;
    this.#first = first;
    this.#messages = messages;
  }

  /**
   * Reads the first message.
   * @throws ConnectError INVALID_ARGUMENT if there is none, or its write_offset is out of range.
   */
  static async open(messages: AsyncIterable<WriteRequest>): Promise<WriteRequests> {
    const iterator = messages[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (first.done === true) {
      throw new ConnectError("Write ended without a message; the first names the resource", Code.InvalidArgument);
    }
    return new WriteRequests(first.value, iterator);
  }

  /**
   * The data, to the end that finish_write marks or the stream's own. The data that complete the blob come only when that
   * end has come too, so that nothing is stored of an upload that goes on behind it.
   *
   * @throws ConnectError INVALID_ARGUMENT, in place of the chunk, if a message names another resource, does not begin
   * where the last one ended, or brings the blob above or finishes it below `sizeBytes`.
   */
  async *chunks(sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    let last: Uint8Array = new Uint8Array(0);
    for await (const data of this.#data()) {
      if (this.endOffsetBytes > sizeBytes || (this.finished && this.endOffsetBytes < sizeBytes)) {
        throw new ConnectError(
          `${this.endOffsetBytes} bytes were written${this.finished ? " and finished" : ""}; the digest says ${sizeBytes}`,
          Code.InvalidArgument,
        );
      }
      if (this.finished || this.endOffsetBytes < sizeBytes) {
        if (data.length > 0) yield data;
      } else if (data.length > 0) {
        last = data;
      }
    }
    if (last.length > 0) yield last;
  }

  /**
   * The data of a compressed upload, to the end that finish_write marks or the stream's own. REAPI has the first
   * write_offset count uncompressed bytes, and the others add the compressed ones to it.
   *
   * @throws ConnectError INVALID_ARGUMENT, in place of the chunk, if a message names another resource or does not begin
   * where the last one ended.
   */
  async *compressedChunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const data of this.#data()) if (data.length > 0) yield data;
  }

  async *#data(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let message: WriteRequest | undefined = this.#first; message !== undefined; message = await this.#next()) {
      this.#check(message);
      this.endOffsetBytes += message.data.length;
      this.finished = message.finishWrite;
      yield message.data;
      if (this.finished) break;
    }
    this.ended = true;
  }

  #check({ resourceName, writeOffset }: WriteRequest): void {
    if (resourceName !== "" && resourceName !== this.resourceName) {
      throw new ConnectError(
        `resource_name changed from "${this.resourceName}" to "${resourceName.slice(0, 512)}" within a Write`,
        Code.InvalidArgument,
      );
    }
    if (writeOffset !== BigInt(this.endOffsetBytes)) {
      throw new ConnectError(
        `write_offset ${writeOffset} does not follow on the data before it, which end at ${this.endOffsetBytes}`,
        Code.InvalidArgument,
      );
    }
  }

  async #next(): Promise<WriteRequest | undefined> {
    const next = await this.#messages.next();
    return next.done === true ? undefined : next.value;
  }
}
