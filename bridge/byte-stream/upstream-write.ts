import {
  ByteStream,
  type WriteResponse,
  WriteResponseSchema,
} from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { type CallContext, type Caller, startUpstreamCall } from "../call.ts";
import { pathOf } from "../method-path.ts";
import { readUnaryAnswer, type UnaryAnswer } from "../unary-call.ts";
import type { UpstreamCall } from "../upstream.ts";
import { type Write, writeFrameHead } from "./write-frame.ts";

const PATH = pathOf(ByteStream.method.write);

/** One ByteStream.Write to the endpoint. */
export class UpstreamWrite {
  readonly answer: Promise<UnaryAnswer<WriteResponse>>;
  readonly #call: UpstreamCall;
  #answered = false;
  #sentBytes = 0;
  #wake: (() => void) | undefined;

  constructor(caller: Caller, context: CallContext) {
    this.#call = startUpstreamCall(caller, PATH, context);
    this.answer = readUnaryAnswer(this.#call, WriteResponseSchema, context).finally(() => {
      this.#answered = true;
      this.#wake?.();
    });
  }

  /** Whether the endpoint has said its word, so that sending more is of no use. */
  get answered(): boolean {
    return this.#answered;
  }

  /** The bytes of its body so far. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Resolves when the endpoint can take more, or has answered. */
  async send(write: Write): Promise<void> {
    const { requestBody } = this.#call;
    const head = writeFrameHead(write);
    this.#sentBytes += head.length + write.data.length;
    requestBody.cork();
    requestBody.write(head);
    if (write.data.length > 0) requestBody.write(write.data);
    requestBody.uncork();
    if (requestBody.writableNeedDrain) {
      await this.unlessAnswered((resolve) => requestBody.once("drain", resolve));
    }
  }

  /** Waits for something that `start` begins, or for the answer. One can be waited for at a time. */
  async unlessAnswered(start: (resolve: () => void) => unknown): Promise<void> {
    if (this.#answered) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      start(resolve);
    });
  }

  end(): void {
    this.#call.requestBody.end();
  }

  /** Does nothing to one that is over. */
  abort(): void {
    this.#call.abort();
  }
}
