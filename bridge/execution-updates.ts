import { fromBinary } from "@bufbuild/protobuf";
import { type Any, anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  ExecuteOperationMetadataSchema,
  ExecuteResponseSchema,
  ExecutionStage_Value as Stage,
} from "../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { type Operation, OperationSchema } from "../protos/gen/google/longrunning/operations_pb.ts";
import { type Frame, FrameError, FrameReader, TRAILERS_FLAG } from "./frames.ts";
import { readTrailerFrame, type Trailers } from "./trailers.ts";

/** One update of an operation: the frame to pass on, and what the bridge reads of it. */
export interface ExecutionUpdate {
  readonly bytes: Uint8Array;
  readonly name: string;
  /** Whether the operation is queued, or further: before that WaitExecution knows nothing of its name. */
  readonly queued: boolean;
  readonly done: boolean;
  /** The gRPC code with which it is done; 0, for OK, until then. */
  readonly code: number;
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
    const { name, done, metadata, result } = fromBinary(OperationSchema, payload);
    return { bytes, name, queued: stageOf(metadata) >= Stage.QUEUED, done, code: codeOf(result) };
  } catch (error) {
    throw new FrameError("an update is no google.longrunning.Operation", { cause: error });
  }
}

function stageOf(metadata: Any | undefined): Stage {
  try {
    const { stage } = (metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema)) ?? { stage: Stage.UNKNOWN };
    return stage;
  } catch {
    // As with the response: the client is to judge it.
    return Stage.UNKNOWN;
  }
}

function codeOf(result: Operation["result"]): number {
  switch (result.case) {
    case "error":
      return result.value.code;
    case "response":
      return responseCode(result.value);
    case undefined:
      return 0;
  }
}

function responseCode(response: Any): number {
  try {
    return anyUnpack(response, ExecuteResponseSchema)?.status?.code ?? 0;
  } catch {
    // What is in the response is for the client to judge.
    return 0;
  }
}
