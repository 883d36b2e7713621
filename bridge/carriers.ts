import { Execution } from "../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../protos/gen/google/bytestream/bytestream_pb.ts";
import type { BatchLimits } from "./batcher.ts";
import { carryRead } from "./byte-stream/carry-read.ts";
import { carryWrite, type WriteContext } from "./byte-stream/carry-write.ts";
import { createSmallReads } from "./byte-stream/small-reads.ts";
import { createSmallWrites } from "./byte-stream/small-writes.ts";
import { UploadMemory } from "./byte-stream/upload-tail.ts";
import { type CallContext, carryCall } from "./call.ts";
import type { ClientCall } from "./client-call.ts";
import { isGrpcProto } from "./metadata.ts";
import { carryExecution } from "./resume-execution.ts";
import { pathOf } from "./unary-call.ts";

/** Carries a call to its end. */
type Carrier = (call: ClientCall) => void | Promise<void>;

/** Chooses the carrier of a call: most are carried as they come, and a few methods are looked into. */
export function createCarriers(context: CallContext): (call: ClientCall) => Carrier {
  const { limits } = context;
  const batchLimits: BatchLimits = {
    windowMs: limits.batchWindowMs,
    maxItems: limits.batchBlobs,
    maxBytes: limits.batchBytes,
    maxInFlight: limits.batchesInFlight,
  };
  const writes: WriteContext = {
    ...context,
    smallWrites: createSmallWrites(context, batchLimits),
    uploadMemory: new UploadMemory(limits.uploadTailsBytes, limits.uploadTailBytes),
  };
  const smallReads = createSmallReads(context, batchLimits);

  const asItComes: Carrier = (call) => {
    carryCall(call, context);
  };
  const special: ReadonlyMap<string, Carrier> = new Map<string, Carrier>([
    [pathOf(Execution.method.execute), (call) => carryExecution(call, context)],
    [pathOf(Execution.method.waitExecution), (call) => carryExecution(call, context)],
    [pathOf(ByteStream.method.write), (call) => carryWrite(call, writes)],
    [pathOf(ByteStream.method.read), (call) => carryRead(call, context, smallReads)],
  ]);
  return ({ path, metadata }) => (isGrpcProto(metadata["content-type"]) && special.get(path)) || asItComes;
}
