import { setTimeout } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ByteStream, WriteResponseSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { type Caller, callUnary } from "../calls/caller.ts";
import { STREAM_CHUNK_BYTES, writeRequest } from "../fixtures/upload.ts";
import type { KeystreamBlob } from "./keystream-blob.ts";

const PAUSE_MS = 500;
/** Attempts in a row that get no further. */
const MAX_ATTEMPTS = 40;

/** Something that goes wrong in the middle of an upload. */
export interface Break {
  readonly name: string;
  /** When so much of the blob was sent for the first time. */
  readonly atBytes: number;
  /** Breaks it, and puts it right again. */
  readonly happen: () => Promise<void>;
}

/** How a client saw the call end, and where it went on. */
export interface TakenUp {
  readonly sentBytes: number;
  readonly code: Code;
  readonly committedBytes: number;
}

export interface UploadOutcome {
  /** Those that the client noticed; the bridge takes up others by itself. */
  readonly takenUp: readonly TakenUp[];
}

/**
 * Stores a blob by ByteStream.Write while breaks happen. Whenever a call ends early, the client asks for the committed size
 * and goes on there, as REAPI has it.
 * @throws what a break throws; the last error, if the upload gets nowhere; an error if a client would have to begin anew
 */
export async function uploadThrough(
  caller: Caller,
  resourceName: string,
  blob: KeystreamBlob,
  breaks: readonly Break[],
): Promise<UploadOutcome> {
  const sizeBytes = Number(blob.digest.sizeBytes);
  const ahead = breaks.toSorted((a, b) => a.atBytes - b.atBytes);
  const happening: Promise<void>[] = [];
  const takenUp: TakenUp[] = [];
  let sentBytes = 0;

  function* requests(fromBytes: number): Generator<Uint8Array> {
    let at = fromBytes;
    for (const data of blob.chunksFrom(fromBytes, STREAM_CHUNK_BYTES)) {
      yield writeRequest(at === fromBytes ? resourceName : "", at, data, sizeBytes);
      at += data.length;
      sentBytes = at;
      while ((ahead[0]?.atBytes ?? Infinity) <= at) happening.push(ahead.shift()?.happen() ?? Promise.resolve());
    }
  }

  for (let [offset, attempts] = [0, 0]; ; attempts++) {
    try {
      const answer = await caller.clientStream(ByteStream.method.write, requests(offset));
      const { committedSize } = fromBinary(WriteResponseSchema, answer);
      await Promise.all(happening);
      if (Number(committedSize) !== sizeBytes) throw new Error(`${committedSize} of ${sizeBytes} bytes were stored`);
      return { takenUp };
    } catch (error) {
      if (!(error instanceof ConnectError) || attempts === MAX_ATTEMPTS) throw error;
      await Promise.all(happening);
      const committedBytes = await askCommitted(caller, resourceName);
      if (committedBytes < offset) {
        throw new Error(`of ${offset} committed bytes ${committedBytes} are left`, { cause: error });
      }
      if (committedBytes > offset) attempts = 0;
      takenUp.push({ sentBytes, code: error.code, committedBytes });
      offset = committedBytes;
    }
  }
}

/** Asks until there is an answer. */
async function askCommitted(caller: Caller, resourceName: string): Promise<number> {
  for (let attempts = 0; ; attempts++) {
    try {
      const status = await callUnary(caller, ByteStream.method.queryWriteStatus, { resourceName });
      return Number(status.committedSize);
    } catch (error) {
      if (ConnectError.from(error).code !== Code.Unavailable || attempts === MAX_ATTEMPTS) throw error;
      await setTimeout(PAUSE_MS);
    }
  }
}
