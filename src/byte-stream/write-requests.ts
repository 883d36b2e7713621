import { Code, ConnectError } from "@connectrpc/connect";
import type { WriteRequest } from "../../protos/gen/google/bytestream/bytestream_pb.ts";

/** How much is still read of an upload that is over, so that a client gets the answer and no broken connection. */
const MAX_DRAINED_BYTES = 4 << 20;

/** The messages of one ByteStream.Write, checked for what ByteStream demands of them. */
export class WriteRequests {
  readonly resourceName: string;
  /** Where in the blob the first message's data begin. */
  readonly offsetBytes: number;
  readonly #messages: AsyncIterator<WriteRequest>;
  readonly #first: WriteRequest;
  #finished = false;

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
   * The data, to the end that finish_write marks or the stream's own.
   * @throws ConnectError INVALID_ARGUMENT, in place of the chunk, if a message names another resource, does not begin
   * where the last one ended, or brings the blob above or finishes it below `sizeBytes`.
   */
  async *chunks(sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    let offsetBytes = this.offsetBytes;
    for (let message: WriteRequest | undefined = this.#first; message !== undefined; message = await this.#next()) {
      const { resourceName, writeOffset, data, finishWrite } = message;
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
      offsetBytes += data.length;
      if (offsetBytes > sizeBytes || (finishWrite && offsetBytes < sizeBytes)) {
        throw new ConnectError(
          `${offsetBytes} bytes were written${finishWrite ? " and finished" : ""}; the digest says ${sizeBytes}`,
          Code.InvalidArgument,
        );
      }
      if (data.length > 0) yield data;
      if (finishWrite) {
        this.#finished = true;
        return;
      }
    }
    this.#finished = true;
  }

  /** Reads on, and drops, what the client is sending still, up to a few MiB. */
  async drain(): Promise<void> {
    let drainedBytes = 0;
    while (!this.#finished && drainedBytes <= MAX_DRAINED_BYTES) {
      const message = await this.#next();
      if (message === undefined || message.finishWrite) return;
      drainedBytes += message.data.length;
    }
  }

  async #next(): Promise<WriteRequest | undefined> {
    const next = await this.#messages.next();
    return next.done === true ? undefined : next.value;
  }
}
