import { fromBinary } from "@bufbuild/protobuf";
import {
  BatchReadBlobsRequestSchema,
  BatchReadBlobsResponseSchema,
  ContentAddressableStorage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { encode } from "../calls/caller.ts";
import { type Blob, blobOf } from "../fixtures/blobs.ts";
import { upload } from "../fixtures/upload.ts";
import { WrongAnswer } from "../load/closed-loop.ts";
import { answersLike } from "./answers.ts";
import type { BatchShape } from "./batch-shape.ts";
import type { Scale, Scenario } from "./scenario.ts";

/** How many different batches are read in turn. */
const BATCHES = 8;

/** Reads a batch of blobs. */
export function batchRead(scale: Scale, shape: BatchShape): Scenario {
  const count = scale.count(shape.count);
  return {
    name: `batch-read-${shape.name}`,
    operation: `BatchReadBlobs of ${count} blobs of ${shape.sizeBytes} bytes`,
    concurrency: 4,
    operations: scale.operations(shape.operations),
    blobs: count,
    bytes: count * shape.sizeBytes,
    direct: true,
    async prepare(target) {
      const batches = Array.from({ length: BATCHES }, () => target.blobs.uniques(count, shape.sizeBytes));
      await upload(target, batches.flat());
      const reads = batches.map((batch) => ({
        request: encode(BatchReadBlobsRequestSchema, {
          instanceName: target.instanceName,
          digests: batch.map(({ digest }) => digest),
        }),
        check: answersLike((answer) => {
          expectBlobs(answer, batch);
        }),
      }));
      const method = ContentAddressableStorage.method.batchReadBlobs;
      return {
        operations: (caller, operations) =>
          Array.from({ length: operations }, (_, i) => async () => {
            const read = reads[i % reads.length];
            if (read === undefined) throw new Error("there is a batch for each operation");
            return read.check(await caller.unary(method, read.request));
          }),
      };
    },
  };
}

function expectBlobs(answer: Uint8Array, batch: readonly Blob[]): void {
  const { responses } = fromBinary(BatchReadBlobsResponseSchema, answer);
  const found = new Set(responses.map(({ data }) => blobOf(data).digest.hash));
  const right = batch.filter(({ digest }) => found.has(digest.hash)).length;
  if (right !== batch.length) throw new WrongAnswer(`${right} of ${batch.length} blobs read`);
}
