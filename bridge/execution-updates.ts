import { fromBinary } from "@bufbuild/protobuf";
import { OperationSchema } from "../protos/gen/google/longrunning/operations_pb.ts";
import { type Frame, FrameError, FrameReader, TRAILERS_FLAG } from "./frames.ts";
import { readTrailerFrame, type Trailers } from "./trailers.ts";

/** One update of an operation: the frame to pass on, and the two fields that the bridge reads. */
export interface ExecutionUpdate {
  readonly bytes: Uint8Array;
  readonly name: string;
  readonly done: boolean;
}

/** Reads the response of Execute or WaitExecution: a stream of google.longrunning.Operation. */
export class ExecutionUpdates {
  readonly #reader: FrameReader;
  #trailers: Trailers | undefined;

  constructor(maxMessageBytes: number) {
    this.#reader = new FrameReader(maxMessageBytes);
  }

  /** The trailers, once their frame is whole. */
  get trailers(): Trailers | undefined {
    return this.#trailers;
  }

  /**
   * Takes the next chunk and returns the updates that it completes.
   * @throws FrameError on anything but whole, uncompressed Operations and then trailers.
   */
  push(chunk: Uint8Array): ExecutionUpdate[] {
    const updates: ExecutionUpdate[] = [];
    for (const frame of this.#reader.push(chunk)) {
      if (this.#trailers !== undefined) {
        throw new FrameError("a frame comes after the trailers");
      }
      if ((frame.flags & TRAILERS_FLAG) === 0) {
        updates.push(readUpdate(frame));
      } else {
        this.#trailers = readTrailerFrame(frame);
      }
    }
    return updates;
  }
}

function readUpdate({ flags, bytes, payload }: Frame): ExecutionUpdate {
  if (flags !== 0) {
    throw new FrameError(`an update has the flags 0x${flags.toString(16)}; none were asked for`);
  }
  try {
    const { name, done } = fromBinary(OperationSchema, payload);
    return { bytes, name, done };
  } catch (error) {
    throw new FrameError("an update is no google.longrunning.Operation", { cause: error });
  }
}
