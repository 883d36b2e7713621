import type { ServiceImpl } from "@connectrpc/connect";
import {
  Compressor_Value,
  SymlinkAbsolutePathStrategy_Value,
  type Capabilities,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { authorizedInstance } from "../access/authorized-instance.ts";
import { callerKey, mayOn } from "../access/caller.ts";
import type { Right } from "../access/roles.ts";
import { AVERAGE_CHUNK_BYTES, SEED } from "../chunking/fast-cdc.ts";
import type { Env } from "../env.ts";
import { MAX_BATCH_BYTES, MOST_CACHE_PRIORITY } from "../limits.ts";

const CACHE_PRIORITIES = { priorities: [{ minPriority: -MOST_CACHE_PRIORITY, maxPriority: MOST_CACHE_PRIORITY }] };
const EVERY_PRIORITY = { priorities: [{ minPriority: -(2 ** 31), maxPriority: 2 ** 31 - 1 }] };

export function capabilitiesService(env: Env): ServiceImpl<typeof Capabilities> {
  return {
    getCapabilities({ instanceName }, context) {
      const { config, digestFunctions } = authorizedInstance(env, context, instanceName, "ask-capabilities");
      const may = (right: Right) => mayOn(context.values.get(callerKey), instanceName, right);
      const functions = digestFunctions.map(({ value }) => value);
      const [preferred] = functions;
      return {
        cacheCapabilities: {
          digestFunctions: functions,
          actionCacheUpdateCapabilities: { updateEnabled: may("write-action-results") },
          cachePriorityCapabilities: CACHE_PRIORITIES,
          maxBatchTotalSizeBytes: BigInt(MAX_BATCH_BYTES),
          maxCasBlobSizeBytes: BigInt(config.store.max_blob_bytes),
          supportedCompressors: [Compressor_Value.ZSTD],
          supportedBatchUpdateCompressors: [Compressor_Value.ZSTD],
          splitBlobSupport: true,
          spliceBlobSupport: true,
          fastCdc2020Params: { avgChunkSizeBytes: BigInt(AVERAGE_CHUNK_BYTES), seed: SEED },
          symlinkAbsolutePathStrategy: SymlinkAbsolutePathStrategy_Value.ALLOWED,
        },
        executionCapabilities: {
          ...(preferred !== undefined && { digestFunction: preferred }),
          digestFunctions: functions,
          execEnabled: may("execute"),
          executionPriorityCapabilities: EVERY_PRIORITY,
          supportedNodeProperties: ["mtime", "unix_mode"],
        },
        lowApiVersion: { major: 2, minor: 0 },
        highApiVersion: { major: 2, minor: 12 },
      };
    },
  };
}
