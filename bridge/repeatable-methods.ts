import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
} from "../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../protos/gen/google/bytestream/bytestream_pb.ts";
import { Operations } from "../protos/gen/google/longrunning/operations_pb.ts";
import { pathOf } from "./method-path.ts";

/**
 * The methods that may be called twice where it isn't known whether the first call arrived: they read, or store what its
 * digest names. Execute isn't one (an action that is not to be cached would run twice), nor is UpdateActionResult (a later
 * result would be overwritten). ByteStream.Write is taken up again by other means.
 */
const REPEATABLE: ReadonlySet<string> = new Set(
  [
    ActionCache.method.getActionResult,
    ByteStream.method.queryWriteStatus,
    ByteStream.method.read,
    Capabilities.method.getCapabilities,
    ContentAddressableStorage.method.batchReadBlobs,
    ContentAddressableStorage.method.batchUpdateBlobs,
    ContentAddressableStorage.method.findMissingBlobs,
    ContentAddressableStorage.method.getTree,
    Operations.method.getOperation,
    Operations.method.listOperations,
  ].map(pathOf),
);

/** @param path `/{package.Service}/{Method}` */
export function isRepeatable(path: string): boolean {
  return REPEATABLE.has(path);
}
