import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { WriteRequestSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { PREFIX_BYTES } from "../frames.ts";

export interface Write {
  /** Empty where the resource is not named again. */
  readonly resourceName: string;
  readonly offset: bigint;
  readonly data: Uint8Array;
  readonly finishWrite: boolean;
}

/** More than a frame adds to its data, beside the resource name. */
export const FRAME_OVERHEAD_BYTES = 40;

/** The number of WriteRequest's `data`, which is its last field. */
const DATA = 10;

/** What comes before the data in the frame of a WriteRequest; they follow as they are, and so are not copied. */
export function writeFrameHead(
  { resourceName, offset, finishWrite }: Omit<Write, "data">,
  dataBytes: number,
): Uint8Array {
  const fields = toBinary(
    WriteRequestSchema,
    create(WriteRequestSchema, { resourceName, writeOffset: offset, finishWrite }),
  );
  const dataHead =
    dataBytes === 0 ? NOTHING : new BinaryWriter().tag(DATA, WireType.LengthDelimited).uint32(dataBytes).finish();
  const head = new Uint8Array(PREFIX_BYTES + fields.length + dataHead.length);
  new DataView(head.buffer).setUint32(1, fields.length + dataHead.length + dataBytes);
  head.set(fields, PREFIX_BYTES);
  head.set(dataHead, PREFIX_BYTES + fields.length);
  return head;
}

const NOTHING = new Uint8Array();
