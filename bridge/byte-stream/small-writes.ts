import { create } from "@bufbuild/protobuf";
import {
  BatchUpdateBlobsRequestSchema,
  ContentAddressableStorage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { WriteResponseSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { digestKey, digestToWire } from "../../src/digest/digest.ts";
import { Batcher, type BatchLimits } from "../batcher.ts";
import { type CallContext, carryCall } from "../call.ts";
import { trailersOfStatus } from "../trailers.ts";
import { answerUnary, callUnary } from "../unary-call.ts";
import { answerEach, batchHead, batchKey, callerOfBatch, type SmallBlobCall, whenAllOver } from "./small-blob.ts";

/** A ByteStream.Write of a whole blob, in as many pieces as it came. */
export interface SmallWrite extends SmallBlobCall {
  readonly data: readonly Uint8Array[];
}

/** Takes a Write that is to be sent with others as one BatchUpdateBlobs, and answered from its own blob's status. */
export type SmallWrites = (write: SmallWrite) => void;

export function createSmallWrites(context: CallContext, limits: BatchLimits): SmallWrites {
  const batcher = new Batcher<SmallWrite>(limits, (writes) => sendBatch(writes, context));
  return (write) => {
    batcher.add(batchKey(write), write, write.digest.sizeBytes);
  };
}

/** Never rejects. */
async function sendBatch(writes: readonly SmallWrite[], context: CallContext): Promise<void> {
  const blobs = new Map<string, { readonly write: SmallWrite; readonly bytes: Uint8Array }>();
  const members = writes.filter((write) => {
    if (write.call.isOver()) return false;
    const key = digestKey(write.digest);
    const bytes = joined(write.data);
    const same = blobs.get(key);
    if (same !== undefined && Buffer.compare(same.bytes, bytes) !== 0) {
      // One of the two must be wrong, and a batch tells blobs apart by their digests.
      carryCall(write.call, context, write.request);
      return false;
    }
    blobs.set(key, same ?? { write, bytes });
    return true;
  });
  const [first] = members;
  if (first === undefined) return;
  const request = create(BatchUpdateBlobsRequestSchema, {
    ...batchHead(first),
    requests: Array.from(blobs.values(), ({ write, bytes }) => ({ digest: digestToWire(write.digest), data: bytes })),
  });
  const answer = await callUnary(
    ContentAddressableStorage.method.batchUpdateBlobs,
    request,
    callerOfBatch(first, members),
    context,
    whenAllOver(members),
  );
  answerEach(
    members,
    answer,
    ({ call, digest }, { status }) => {
      if (status === undefined || status.code === 0) {
        answerUnary(
          call,
          WriteResponseSchema,
          create(WriteResponseSchema, { committedSize: BigInt(digest.sizeBytes) }),
        );
      } else {
        call.finish(trailersOfStatus(status));
      }
      return true;
    },
    context,
  );
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
}
