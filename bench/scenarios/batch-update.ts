import { fromBinary } from "@bufbuild/protobuf";
import {
  BatchUpdateBlobsRequestSchema,
  BatchUpdateBlobsResponseSchema,
  ContentAddressableStorage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { encode } from "../calls/caller.ts";
import { WrongAnswer } from "../load/closed-loop.ts";
import type { BatchShape } from "./batch-shape.ts";
import type { Scale, Scenario } from "./scenario.ts";

/** Stores a batch of blobs that the server does not have. */
export function batchUpdate(scale: Scale, shape: BatchShape): Scenario {
  const count = scale.count(shape.count);
  return {
    name: `batch-update-${shape.name}`,
    operation: `BatchUpdateBlobs of ${count} new blobs of ${shape.sizeBytes} bytes`,
    concurrency: 4,
    operations: scale.operations(shape.operations),
    blobs: count,
    bytes: count * shape.sizeBytes,
    prepare({ instanceName, blobs }) {
      const method = ContentAddressableStorage.method.batchUpdateBlobs;
      return Promise.resolve({
        operations: (caller, operations) =>
          Array.from({ length: operations }, () => {
            const request = encode(BatchUpdateBlobsRequestSchema, {
              instanceName,
              requests: blobs.uniques(count, shape.sizeBytes).map(({ digest, bytes }) => ({ digest, data: bytes })),
            });
            return async () => {
              const answer = await caller.unary(method, request);
              return () => {
                const { responses } = fromBinary(BatchUpdateBlobsResponseSchema, answer);
                const stored = responses.filter(({ status }) => (status?.code ?? 0) === 0).length;
                if (stored !== count) throw new WrongAnswer(`${stored} of ${count} blobs stored`);
              };
            };
          }),
      });
    },
  };
}
