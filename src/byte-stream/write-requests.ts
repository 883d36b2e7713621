import { Code, ConnectError } from "@connectrpc/connect";
import type { WriteRequest } from "../../protos/gen/google/bytestream/bytestream_pb.ts";

/** The messages of one ByteStream.Write, checked for what ByteStream demands of them. */
export class WriteRequests {
  readonly resourceName: string;
  /** Where in the blob the first message's data begin. */
  readonly offsetBytes: number;
  readonly #messages: AsyncIterator<WriteRequest>;
  readonly #first: WriteRequest;

  private constructor(first: WriteRequest, messages: AsyncIterator<WriteRequest>) {
    if (first.writeOffset < 0n || first.writeOffset > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new ConnectError(`write_offset ${first.writeOffset} is out of range`, Code.InvalidArgument);
    }
    this.resourceName = first.resourceName;
    this.offsetBytes = Number(first.writeOffset);
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
    let offsetBytes = this.offsetBytes;
    let last: Uint8Array = new Uint8Array(0);
    for (let message: WriteRequest | undefined = this.#first; message !== undefined; message = await this.#next()) {
      this.#check(message, offsetBytes, sizeBytes);
      const { data, finishWrite } = message;
      offsetBytes += data.length;
      if (finishWrite || offsetBytes < sizeBytes) {
        if (data.length > 0) yield data;
      } else if (data.length > 0) {
        last = data;
      }
      if (finishWrite) break;
    }
    if (last.length > 0) yield last;
  }

  #check({ resourceName, writeOffset, data, finishWrite }: WriteRequest, offsetBytes: number, sizeBytes: number): void {
    if (resourceName !== "" && resourceName !== this.resourceName) {
      throw new ConnectError(
        `resource_name changed from "${this.resourceName}" to "${resourceName.slice(0, 512)}" within a Write`,
        Code.InvalidArgument,
      );
    }
    if (writeOffset !== BigInt(offsetBytes)) {
      throw new ConnectError(
        `write_offset ${writeOffset} does not follow on the data before it, which end at ${offsetBytes}`,
        Code.InvalidArgument,
      );
    }
    const endBytes = offsetBytes + data.length;
    if (endBytes > sizeBytes || (finishWrite && endBytes < sizeBytes)) {
      throw new ConnectError(
        `${endBytes} bytes were written${finishWrite ? " and finished" : ""}; the digest says ${sizeBytes}`,
        Code.InvalidArgument,
      );
    }
  }

  async #next(): Promise<WriteRequest | undefined> {
    const next = await this.#messages.next();
    return next.done === true ? undefined : next.value;
  }
}
