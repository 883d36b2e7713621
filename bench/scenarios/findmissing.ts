import { fromBinary } from "@bufbuild/protobuf";
import {
  ContentAddressableStorage,
  FindMissingBlobsRequestSchema,
  FindMissingBlobsResponseSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { encode } from "../calls/caller.ts";
import { upload } from "../fixtures/upload.ts";
import { WrongAnswer } from "../load/closed-loop.ts";
import { answersLike } from "./answers.ts";
import { repeat, type Scale, type Scenario } from "./scenario.ts";

const BLOB_BYTES = 100;

/** Which of so many blobs are missing, where every second one is (for a single one: it is missing). */
export function findMissing(scale: Scale, fullCount: number): Scenario {
  const count = scale.count(fullCount);
  const large = fullCount >= 10_000;
  return {
    name: `findmissing-${fullCount}`,
    operation: `FindMissingBlobs of ${count} digests, half present`,
    // Alone, so that its latency can be held against that of the bare query.
    concurrency: large ? 1 : 16,
    operations: scale.operations(large ? 60 : fullCount > 1 ? 2000 : 4000),
    blobs: count,
    direct: true,
    ...(large && { baselines: ["bare query" as const] }),
    async prepare(target) {
      const present = target.blobs.uniques(Math.floor(count / 2), BLOB_BYTES);
      const absent = Array.from({ length: count - present.length }, () => target.blobs.absent(BLOB_BYTES));
      await upload(target, present);
      const request = encode(FindMissingBlobsRequestSchema, {
        instanceName: target.instanceName,
        blobDigests: absent.flatMap((digest, i) => [digest, ...present.slice(i, i + 1).map((blob) => blob.digest)]),
      });
      const hashes = new Set(absent.map(({ hash }) => hash));
      const check = answersLike((answer) => {
        const { missingBlobDigests } = fromBinary(FindMissingBlobsResponseSchema, answer);
        const right = missingBlobDigests.filter(({ hash }) => hashes.has(hash)).length;
        if (right !== hashes.size || right !== missingBlobDigests.length) {
          throw new WrongAnswer(`${missingBlobDigests.length} missing, ${hashes.size} expected`);
        }
      });
      const method = ContentAddressableStorage.method.findMissingBlobs;
      return {
        operations: (caller, operations) => repeat(async () => check(await caller.unary(method, request)), operations),
      };
    },
  };
}
