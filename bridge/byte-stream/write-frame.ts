import { create, toBinary } from "@bufbuild/protobuf";
import { WriteRequestSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { encodeFrame } from "../frames.ts";

export interface Write {
  /** Empty where the resource is not named again. */
  readonly resourceName: string;
  readonly offset: bigint;
  readonly data: Uint8Array;
  readonly finishWrite: boolean;
}

/** More than a frame adds to its data, beside the resource name. */
export const FRAME_OVERHEAD_BYTES = 40;

/** The frame of a WriteRequest. */
export function writeFrame({ resourceName, offset, data, finishWrite }: Write): Uint8Array {
  const message = create(WriteRequestSchema, { resourceName, writeOffset: offset, finishWrite, data });
  return encodeFrame(toBinary(WriteRequestSchema, message));
}
