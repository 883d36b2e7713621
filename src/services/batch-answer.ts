import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { StatusSchema, type Status } from "../../protos/gen/google/rpc/status_pb.ts";
import { statusOf } from "../errors/status.ts";
import { MAX_BATCH_BYTES, MAX_MESSAGE_BYTES } from "../limits.ts";

/** What is answered for a blob beside its hash and its bytes: their tags and lengths, the size, the compressor, a code. */
const ENTRY_BYTES = 32;

/** The length of a status's parts beside its message: their tags and lengths, and a detail's type. */
const DETAIL_BYTES = 80;

/**
 * MAX_BATCH_BYTES leaves room for so many, but for a few KiB where hashes are of 64 bytes: a client that goes by what it is
 * told of batches, and keeps them to so many blobs, is never refused.
 */
const ALWAYS_ROOM_BLOBS = 1000;

/** What the answer for one blob of a batch takes at least. */
export interface AnsweredBlob {
  /** As the client sent it. */
  readonly hash: string;
  /** Of the blob's bytes that come with the answer. */
  readonly dataBytes: number;
}

/**
 * The answer to a batch, which must not become larger than clients accept: they lose all of it then. Errors say what is
 * wrong as long as there is room, and only their code from then on.
 */
export class BatchAnswer {
  #roomBytes: number;
  readonly #known = new Map<unknown, Status>();

  /**
   * @param blobBytes how many bytes of blobs the batch has, in either direction
   * @throws ConnectError INVALID_ARGUMENT if it is too large, or the answer would be
   */
  constructor(blobBytes: number, answered: readonly AnsweredBlob[]) {
    if (blobBytes > MAX_BATCH_BYTES) {
      throw new ConnectError(
        `the batch has ${blobBytes} bytes of blobs; at most ${MAX_BATCH_BYTES} are allowed (max_batch_total_size_bytes): ` +
          `use smaller batches, or ByteStream`,
        Code.InvalidArgument,
      );
    }
    const answerBytes = answered.reduce((sum, { hash, dataBytes }) => sum + hash.length + ENTRY_BYTES + dataBytes, 0);
    if (answered.length > ALWAYS_ROOM_BLOBS && answerBytes > MAX_MESSAGE_BYTES) {
      throw new ConnectError(
        `the answer for the batch's ${answered.length} blobs would be of ${answerBytes} bytes; clients accept at most ` +
          `${MAX_MESSAGE_BYTES}: use batches of fewer blobs`,
        Code.InvalidArgument,
      );
    }
    this.#roomBytes = MAX_MESSAGE_BYTES - answerBytes;
  }

  /** An error as the status of one of the blobs. One that is several blobs' is reported once. */
  status(error: unknown): Status {
    const status = this.#known.get(error) ?? statusOf(error);
    this.#known.set(error, status);
    return this.bounded(status);
  }

  /** The status, or its code alone if there is no more room. */
  bounded(status: Status): Status {
    const details = status.details.reduce((sum, { value }) => sum + value.length + DETAIL_BYTES, 0);
    // Three bytes are the most that UTF-8 has for one of a string's units.
    const statusBytes = 3 * status.message.length + details;
    if (statusBytes > this.#roomBytes) return create(StatusSchema, { code: status.code });
    this.#roomBytes -= statusBytes;
    return status;
  }
}

/**
 * Checks that so many digests, with so many hex digits in all, make no larger an answer than clients accept.
 * @throws ConnectError INVALID_ARGUMENT if they do
 */
export function checkDigestsAnswer(count: number, hexDigits: number): void {
  const answerBytes = hexDigits + (count * ENTRY_BYTES) / 2;
  if (answerBytes <= MAX_MESSAGE_BYTES) return;
  throw new ConnectError(
    `the answer would be ${count} digests of ${answerBytes} bytes; clients accept at most ${MAX_MESSAGE_BYTES}: ` +
      `ask for fewer digests at once`,
    Code.InvalidArgument,
  );
}
