import { create } from "@bufbuild/protobuf";
import {
  BatchReadBlobsRequestSchema,
  Compressor_Value,
  ContentAddressableStorage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ReadResponseSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { digestKey, digestToWire } from "../../src/digest/digest.ts";
import { Batcher, type BatchLimits } from "../batcher.ts";
import type { CallContext } from "../call.ts";
import { answerUnary, callUnary } from "../unary-call.ts";
import { answerEach, batchHead, batchKey, callerOfBatch, type SmallBlobCall, whenAllOver } from "./small-blob.ts";

/** Takes a Read of a whole blob that is to be sent with others as one BatchReadBlobs. */
export type SmallReads = (read: SmallBlobCall) => void;

export function createSmallReads(context: CallContext, limits: BatchLimits): SmallReads {
  const batcher = new Batcher<SmallBlobCall>(limits, (reads) => sendBatch(reads, context));
  return (read) => {
    batcher.add(batchKey(read), read, read.digest.sizeBytes);
  };
}

/** Never rejects. */
async function sendBatch(reads: readonly SmallBlobCall[], context: CallContext): Promise<void> {
  const members = reads.filter(({ call }) => !call.isOver());
  const [first] = members;
  if (first === undefined) return;
  const digests = new Map(members.map(({ digest }) => [digestKey(digest), digestToWire(digest)]));
  const request = create(BatchReadBlobsRequestSchema, { ...batchHead(first), digests: [...digests.values()] });
  const answer = await callUnary(
    ContentAddressableStorage.method.batchReadBlobs,
    request,
    callerOfBatch(first, members),
    context,
    whenAllOver(members),
  );
  answerEach(
    members,
    answer,
    ({ call, digest }, { status, data, compressor }) => {
      const whole = data.length === digest.sizeBytes && compressor === Compressor_Value.IDENTITY;
      // A Read says in its own words what is wrong.
      if ((status !== undefined && status.code !== 0) || !whole) return false;
      answerUnary(call, ReadResponseSchema, create(ReadResponseSchema, { data }));
      return true;
    },
    context,
  );
}
