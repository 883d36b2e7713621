import { create, fromBinary, fromJsonString, toJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import { sizeDelimitedEncode, sizeDelimitedPeek } from "@bufbuild/protobuf/wire";
import {
  WorkRequestSchema,
  WorkResponseSchema,
  type WorkResponse,
} from "../../protos/gen/blaze/worker/worker_protocol_pb.ts";
import { errorMessage } from "../system-error.ts";

/** How messages are put into bytes: after their length as a varint, or one to a line of JSON. */
export type WorkerProtocol = "proto" | "json";

/** A worker's stdout is not what the protocol says. */
export class WorkerProtocolError extends Error {
  override readonly name = "WorkerProtocolError";
}

/** What is shown of bytes that are no response. */
const MAX_SHOWN = 200;

/** A length takes no more bytes: it is below 2^35. */
const MAX_LENGTH_BYTES = 5;

export function encodeWorkRequest(
  protocol: WorkerProtocol,
  request: MessageInitShape<typeof WorkRequestSchema>,
): Uint8Array {
  const message = create(WorkRequestSchema, request);
  if (protocol === "proto") return sizeDelimitedEncode(WorkRequestSchema, message);
  return Buffer.from(`${toJsonString(WorkRequestSchema, message)}\n`);
}

/** Puts a worker's responses together from the pieces in which its stdout comes. */
export class WorkResponseReader {
  readonly #protocol: WorkerProtocol;
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #length = 0;

  /** @param maxBytes of one response */
  constructor(protocol: WorkerProtocol, maxBytes: number) {
    this.#protocol = protocol;
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes a piece, and returns the responses that are complete with it.
   * @throws WorkerProtocolError
   */
  take(piece: Uint8Array): WorkResponse[] {
    this.#pieces.push(piece);
    this.#length += piece.length;
    const responses: WorkResponse[] = [];
    for (let end = this.#endOfFirst(); end !== undefined; end = this.#endOfFirst()) {
      const bytes = this.#joined();
      responses.push(this.#parse(bytes.subarray(end.start, end.end)));
      this.#pieces = [bytes.subarray(end.next)];
      this.#length -= end.next;
    }
    return responses;
  }

  /** Where the first response is, once all of it is there. */
  #endOfFirst(): { readonly start: number; readonly end: number; readonly next: number } | undefined {
    if (this.#length === 0) return undefined;
    return this.#protocol === "proto" ? this.#delimited() : this.#line();
  }

  #delimited(): { readonly start: number; readonly end: number; readonly next: number } | undefined {
    const [first = new Uint8Array()] = this.#pieces;
    const bytes = first.length < MAX_LENGTH_BYTES ? this.#joined() : first;
    const { eof, offset, size } = sizeDelimitedPeek(bytes.subarray(0, MAX_LENGTH_BYTES));
    if (eof && bytes.length < MAX_LENGTH_BYTES) return undefined;
    if (eof || size > this.#maxBytes) throw this.#malformed("is no response, or one that is too long");
    const end = offset + size;
    return this.#length < end ? undefined : { start: offset, end, next: end };
  }

  #line(): { readonly start: number; readonly end: number; readonly next: number } | undefined {
    // What came before the last piece has no end of a line, unless it is all that is left.
    const last = this.#pieces.at(-1)?.indexOf(NEWLINE) ?? -1;
    if (last === -1) {
      if (this.#length > this.#maxBytes) throw this.#malformed("is a line that is too long");
      return undefined;
    }
    const end = this.#joined().indexOf(NEWLINE);
    return { start: 0, end, next: end + 1 };
  }

  #parse(bytes: Uint8Array): WorkResponse {
    try {
      return this.#protocol === "proto"
        ? fromBinary(WorkResponseSchema, bytes)
        : fromJsonString(WorkResponseSchema, Buffer.from(bytes).toString(), { ignoreUnknownFields: true });
    } catch (error) {
      throw this.#malformed(`is no response (${errorMessage(error)})`);
    }
  }

  #malformed(what: string): WorkerProtocolError {
    const shown = Buffer.from(this.#joined().subarray(0, MAX_SHOWN)).toString("latin1");
    return new WorkerProtocolError(`what the worker wrote to stdout ${what}: ${JSON.stringify(shown)}`);
  }

  #joined(): Uint8Array {
    const [first] = this.#pieces;
    if (this.#pieces.length === 1 && first !== undefined) return first;
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [bytes];
    return bytes;
  }
}

const NEWLINE = 0x0a;
