import {
  ByteStream,
  type WriteResponse,
  WriteResponseSchema,
} from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { type CallContext, type Caller, startUpstreamCall } from "../call.ts";
import { pathOf } from "../method-path.ts";
import { PacedBody } from "../paced-body.ts";
import { readUnaryAnswer, type UnaryAnswer } from "../unary-call.ts";
import type { UpstreamCall } from "../upstream.ts";
import { FRAME_OVERHEAD_BYTES, type Write, writeFrameHead } from "./write-frame.ts";

const PATH = pathOf(ByteStream.method.write);

/** A message that is not sent yet, since more of its data are on their way. What is here of them is in the upload's tail, too. */
interface BegunMessage {
  readonly resourceName: string;
  readonly offset: bigint;
  readonly pieces: Uint8Array[];
  dataBytes: number;
  finishWrite: boolean;
}

/** One ByteStream.Write to the endpoint. */
export class UpstreamWrite {
  readonly answer: Promise<UnaryAnswer<WriteResponse>>;
  readonly #call: UpstreamCall;
  readonly #body: PacedBody;
  #answered = false;
  #sentBytes = 0;
  #begun: BegunMessage | undefined;
  readonly #maxJoinedBytes: number;
  #wake: (() => void) | undefined;

  constructor(caller: Caller, context: CallContext) {
    this.#call = startUpstreamCall(caller, PATH, context);
    this.#body = new PacedBody(this.#call.requestBody);
    this.#maxJoinedBytes = context.limits.joinedMessageBytes;
    this.answer = readUnaryAnswer(this.#call, WriteResponseSchema, context).finally(() => {
      this.#answered = true;
      this.#wake?.();
    });
  }

  /** Whether the endpoint has said its word, so that sending more is of no use. */
  get answered(): boolean {
    return this.#answered;
  }

  /** The bytes of its body so far, of a message that is not sent yet at most. */
  get sentBytes(): number {
    const begun = this.#begun;
    if (begun === undefined) return this.#sentBytes;
    return this.#sentBytes + FRAME_OVERHEAD_BYTES + begun.resourceName.length + begun.dataBytes;
  }

  /**
   * Resolves when the endpoint can take more, or has answered.
   * @param endsMessage if false, more data that follow on these are on their way, and one message may be made of both
   */
  async send(write: Write, endsMessage = true): Promise<void> {
    if (this.#begun !== undefined && !followsOn(this.#begun, write)) this.#sendBegun();
    const { resourceName, offset, data, finishWrite } = write;
    const begun = (this.#begun ??= { resourceName, offset, pieces: [], dataBytes: 0, finishWrite: false });
    if (data.length > 0) begun.pieces.push(data);
    begun.dataBytes += data.length;
    begun.finishWrite = finishWrite;
    if (endsMessage || begun.dataBytes >= this.#maxJoinedBytes) this.#sendBegun();
    if (this.#body.blocked) {
      await this.unlessAnswered((resolve) => {
        this.#body.onceDrained(resolve);
      });
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
    this.#sendBegun();
    this.#body.end();
  }

  /** Does nothing to one that is over. */
  abort(): void {
    this.#call.abort();
  }

  #sendBegun(): void {
    if (this.#begun === undefined) return;
    const { pieces, dataBytes } = this.#begun;
    const head = writeFrameHead(this.#begun, dataBytes);
    this.#begun = undefined;
    this.#sentBytes += head.length + dataBytes;
    this.#body.write([head, ...pieces]);
  }
}

/** Whether the two can be one message. */
function followsOn({ offset, dataBytes, finishWrite }: BegunMessage, next: Write): boolean {
  return !finishWrite && next.resourceName === "" && next.offset === offset + BigInt(dataBytes);
}
