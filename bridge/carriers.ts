import { Code } from "@connectrpc/connect";
import {
  ActionCache,
  ContentAddressableStorage,
  Execution,
} from "../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../protos/gen/google/bytestream/bytestream_pb.ts";
import type { BatchLimits } from "./batcher.ts";
import { carryGetActionResult } from "./action-cache/carry-get-action-result.ts";
import { OutputMemory } from "./action-cache/output-memory.ts";
import { carryRead, type ReadContext } from "./byte-stream/carry-read.ts";
import { carryWrite, type WriteContext } from "./byte-stream/carry-write.ts";
import { createSmallReads } from "./byte-stream/small-reads.ts";
import { createSmallWrites } from "./byte-stream/small-writes.ts";
import { UploadMemory } from "./byte-stream/upload-tail.ts";
import { type CallContext, carryCall } from "./call.ts";
import type { ClientCall } from "./client-call.ts";
import { carryFindMissingBlobs, type ExistenceContext } from "./existence/carry-find-missing-blobs.ts";
import { KnownBlobs } from "./existence/known-blobs.ts";
import { isGrpcProto } from "./metadata.ts";
import { pathOf } from "./method-path.ts";
import { RequestMemory } from "./request-memory.ts";
import { carryExecution } from "./resume-execution.ts";
import { codeOf } from "./trailers.ts";

const GET_ACTION_RESULT = pathOf(ActionCache.method.getActionResult);
const FIND_MISSING_BLOBS = pathOf(ContentAddressableStorage.method.findMissingBlobs);

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
  const reads: ReadContext = {
    ...context,
    smallReads: createSmallReads(context, batchLimits),
    outputMemory: new OutputMemory({
      ttlMs: limits.outputMemoryMs,
      maxBytes: limits.outputMemoryBytes,
      maxEntries: limits.outputMemoryBlobs,
    }),
  };

  const knownBlobs = new KnownBlobs(limits.existenceTtlMs, limits.existenceBlobs);
  /** A client that is told of what is missing asks what, and is then not to be answered from memory. */
  const noteCode = (code: number | undefined): void => {
    if (code === Code.NotFound || code === Code.FailedPrecondition) knownBlobs.clear();
  };

  const asItComes: Carrier = (call) => {
    carryCall(call, context);
  };
  const execution: Carrier = (call) => carryExecution(call, context, noteCode);
  const special = new Map<string, Carrier>([
    [pathOf(Execution.method.execute), execution],
    [pathOf(Execution.method.waitExecution), execution],
    [pathOf(ByteStream.method.write), (call) => carryWrite(call, writes)],
    [pathOf(ByteStream.method.read), (call) => carryRead(call, reads)],
  ]);
  if (limits.outputMemoryBytes > 0) {
    special.set(GET_ACTION_RESULT, (call) => carryGetActionResult(call, reads));
  }
  if (limits.existenceTtlMs > 0) {
    const existenceMemory = new RequestMemory(limits.existenceRequestsBytes);
    const existence: ExistenceContext = { ...context, knownBlobs, existenceMemory };
    special.set(FIND_MISSING_BLOBS, (call) => carryFindMissingBlobs(call, existence));
  }
  return (call) => {
    // That no result is cached says nothing about blobs.
    if (limits.existenceTtlMs > 0 && call.path !== GET_ACTION_RESULT) {
      call.onceOver(() => {
        noteCode(call.trailers && codeOf(call.trailers));
      });
    }
    return (isGrpcProto(call.metadata["content-type"]) && special.get(call.path)) || asItComes;
  };
}
