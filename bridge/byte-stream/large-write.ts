import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  ByteStream,
  QueryWriteStatusRequestSchema,
  type WriteResponse,
  WriteResponseSchema,
} from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import type { CallContext } from "../call.ts";
import type { ClientCall } from "../client-call.ts";
import { pause, resumePauseMs } from "../pause.ts";
import { codeOf, OK_TRAILERS, statusTrailers } from "../trailers.ts";
import { callUnary, OWN_HEADERS, type UnaryAnswer } from "../unary-call.ts";
import type { UploadMemory, UploadTail } from "./upload-tail.ts";
import { UpstreamWrite } from "./upstream-write.ts";
import { FRAME_OVERHEAD_BYTES, type Write } from "./write-frame.ts";

/**
 * Where the Worker can take an upload up again: it stores parts of this size (of a multiple of it for blobs beyond 80 GB),
 * so a request that ends between two of them leaves nothing to be sent again.
 */
const PART_BYTES = 8 * 1024 * 1024;

/** Some data of an upload. */
export interface UploadPiece extends Write {
  /** If not, others are on their way that follow on them. */
  readonly endsMessage: boolean;
}

/** The data of an upload, each piece when it is asked for; undefined at their end. */
export interface UploadSource {
  next(): Promise<UploadPiece | undefined>;
}

export interface LargeUpload {
  /** Whose upload it is. */
  readonly call: ClientCall;
  /** As the endpoint is to know it. */
  readonly resourceName: string;
  readonly sizeBytes: number;
  /** Where in the blob `source` begins. */
  readonly offset: number;
  readonly source: UploadSource;
}

/** How one request to the endpoint ended. */
interface RequestEnd {
  readonly answer: UnaryAnswer<WriteResponse>;
  /** The bridge ended it in mid-upload, to go on with another. */
  readonly cut: boolean;
}

/** How much of the blob is committed, in bytes, or that it is stored. */
type Committed = number | typeof COMPLETE;
const COMPLETE = "complete";

const NO_DATA = new Uint8Array();

/**
 * An upload that goes to the endpoint in as many requests as it takes, none larger than `maxRequestBytes`. Each after the
 * first begins at what the endpoint has committed. One that breaks off is taken up again where QueryWriteStatus says, if
 * what lies behind that is still held.
 */
export class LargeWrite {
  readonly #upload: LargeUpload;
  readonly #context: CallContext;
  readonly #tail: UploadTail;
  #request: UpstreamWrite | undefined;
  /** The source's next piece, where it was asked for and not taken. */
  #next: Promise<UploadPiece | undefined> | undefined;
  /** The source has come to its end, or even said that it is the end of the blob. */
  #ended = false;
  #finished = false;
  /** The client has sent what the endpoint is going to refuse. */
  #flawed = false;
  #failures = 0;

  constructor(upload: LargeUpload, context: CallContext, memory: UploadMemory) {
    this.#upload = upload;
    this.#context = context;
    this.#tail = memory.open(upload.offset);
  }

  /** Whether all of the blob was taken from the source. */
  get finished(): boolean {
    return this.#finished;
  }

  /**
   * Sends it all. Resolves to the endpoint's last word, or to undefined if the call is over.
   * @throws what the source throws
   */
  async run(): Promise<UnaryAnswer<WriteResponse> | undefined> {
    const { call } = this.#upload;
    call.onceOver(() => this.#request?.abort());
    try {
      for (let offset = this.#upload.offset; ;) {
        const end = await this.#sendRequest(offset);
        const committed = await this.#committedAfter(end, offset);
        if (call.isOver()) return undefined;
        if (committed === undefined) return end.answer;
        if (committed === COMPLETE) return this.#completeAnswer();
        const broken = end.answer.message === undefined;
        if (committed > offset) {
          this.#failures = 0;
        } else if (!broken) {
          this.#failures++;
        }
        if (!this.#tail.reaches(committed) || this.#failures > this.#context.limits.uploadAttempts) {
          return broken ? end.answer : this.#stuckAnswer(committed);
        }
        this.#tail.dropBefore(committed);
        offset = committed;
      }
    } finally {
      this.#request?.abort();
      this.#tail.close();
    }
  }

  /** Sends what lies behind `offset`, until it is all sent, the request is full, or the endpoint has answered. */
  async #sendRequest(offset: number): Promise<RequestEnd> {
    const { call, resourceName, sizeBytes } = this.#upload;
    const { limits } = this.#context;
    this.#request?.abort();
    const request = new UpstreamWrite(call, this.#context);
    this.#request = request;
    const send = (write: Write, endsMessage = true): Promise<void> =>
      request.send(
        request.sentBytes > 0 || write.resourceName !== "" ? write : { ...write, resourceName },
        endsMessage,
      );

    const cutOffset = lastOffset(offset, limits.maxRequestBytes);
    for (let at = offset; !request.answered;) {
      // What is sent again, unless it is new.
      const data = this.#tail.copyFrom(at);
      const piece =
        data === undefined ? await this.#pull(request) : { ...CONTINUED, offset: BigInt(at), data, endsMessage: true };
      if (piece === undefined) break;
      const end = at + piece.data.length;
      this.#flawed ||= piece.offset !== BigInt(at) || end > sizeBytes || !isSame(piece.resourceName, resourceName);
      if (this.#flawed) {
        await send(piece);
        continue;
      }
      const overheadBytes = FRAME_OVERHEAD_BYTES + (request.sentBytes === 0 ? resourceName.length : 0);
      const roomBytes = Math.max(
        Math.min(cutOffset - at, limits.maxRequestBytes - request.sentBytes - overheadBytes),
        0,
      );
      const fitting = piece.data.subarray(0, roomBytes);
      if (fitting.length > 0 || request.sentBytes === 0) {
        if (at === this.#tail.endOffset) this.#tail.append(fitting);
        await send({ ...CONTINUED, offset: BigInt(at), data: fitting }, piece.endsMessage);
        at += fitting.length;
      }
      if (fitting.length < piece.data.length) {
        const rest = piece.data.subarray(fitting.length);
        // What is sent again is in the tail, whole.
        if (data === undefined) this.#next = Promise.resolve({ ...piece, offset: BigInt(at), data: rest });
        request.end();
        return { answer: await request.answer, cut: true };
      }
      this.#finished ||= piece.finishWrite;
    }
    if (!request.answered) {
      if (this.#finished) {
        await send({ ...CONTINUED, offset: BigInt(this.#tail.endOffset), data: NO_DATA, finishWrite: true });
      }
      request.end();
    }
    return { answer: await request.answer, cut: false };
  }

  /** The source's next piece; undefined at its end, and where the endpoint's answer comes first. */
  async #pull(request: UpstreamWrite): Promise<UploadPiece | undefined> {
    if (this.#finished || this.#ended) return undefined;
    this.#next ??= this.#upload.source.next();
    const next = this.#next;
    await request.unlessAnswered((resolve) => next.then(resolve, resolve));
    // It stays for the next request where the answer was first.
    if (request.answered) return undefined;
    this.#next = undefined;
    const piece = await next;
    this.#ended = piece === undefined;
    return piece;
  }

  /** What the endpoint has of the blob, if that is where to go on; undefined if its answer is its last word. */
  async #committedAfter({ answer, cut }: RequestEnd, offset: number): Promise<Committed | undefined> {
    if (this.#flawed) return undefined;
    if (answer.message !== undefined) {
      const committed = Number(answer.message.committedSize);
      return cut && committed !== this.#upload.sizeBytes ? committed : undefined;
    }
    const code = codeOf(answer.trailers);
    if (code === Code.Unavailable) return this.#askCommitted();
    if (offset > this.#upload.offset && (code === Code.InvalidArgument || code === Code.Aborted)) {
      // An earlier request that broke off may have gone further meanwhile than it had when the endpoint was asked.
      const committed = await this.#askCommitted();
      return committed === offset ? undefined : committed;
    }
    return undefined;
  }

  /** Asks for as long as it may take a Worker to restart; undefined if that doesn't help. */
  async #askCommitted(): Promise<Committed | undefined> {
    const { call, resourceName } = this.#upload;
    const { limits, logger } = this.#context;
    while (!call.isOver() && this.#failures < limits.uploadAttempts) {
      const pauseMs = resumePauseMs(this.#failures++, limits);
      logger.info({ resourceName, attempt: this.#failures, pauseMs }, "taking up a cut upload again");
      await pause(pauseMs, call.signal);
      const request = create(QueryWriteStatusRequestSchema, { resourceName });
      const status = await callUnary(ByteStream.method.queryWriteStatus, request, call, this.#context, call.signal);
      if (status.message !== undefined) {
        return status.message.complete ? COMPLETE : Number(status.message.committedSize);
      }
      if (codeOf(status.trailers) !== Code.Unavailable) return undefined;
    }
    return undefined;
  }

  #completeAnswer(): UnaryAnswer<WriteResponse> {
    const committedSize = BigInt(this.#upload.sizeBytes);
    return { headers: OWN_HEADERS, message: create(WriteResponseSchema, { committedSize }), trailers: OK_TRAILERS };
  }

  #stuckAnswer(committed: number): UnaryAnswer<WriteResponse> {
    const { upstream, limits } = this.#context;
    return {
      headers: {},
      message: undefined,
      trailers: statusTrailers(
        Code.Unavailable,
        `the Remex endpoint ${upstream.endpoint.href} has committed ${committed} of the ${this.#tail.endOffset} bytes that ` +
          `it was sent in requests of up to ${limits.maxRequestBytes} bytes (maxRequestBytes); try again from there`,
      ),
    };
  }
}

/** What a piece says beside its data that goes on with the one before. */
const CONTINUED = { resourceName: "", finishWrite: false } as const;

function isSame(name: string, first: string): boolean {
  return name === "" || name === first;
}

/** Where a request that begins at `offset` is best cut: between two parts, with a fiftieth left for its frames. */
function lastOffset(offset: number, maxRequestBytes: number): number {
  const last = Math.floor((offset + maxRequestBytes * 0.98) / PART_BYTES) * PART_BYTES;
  return last > offset ? last : Infinity;
}
