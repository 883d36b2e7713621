import { toBinary } from "@bufbuild/protobuf";
import { ActionResultSchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Digest } from "../digest/digest.ts";
import { parseMessage } from "../errors/parse-message.ts";
import type { ServedInstance } from "../served-instance.ts";
import { digestOfHash } from "./cas.ts";

/** The serialized result of the action with a hash; undefined if there is none, or if one of its blobs is gone. */
export async function findActionResult(instance: ServedInstance, hash: string): Promise<Uint8Array | undefined> {
  const result = await instance.actionCache.get(actionDigest(instance, hash));
  return result === undefined ? undefined : toBinary(ActionResultSchema, result);
}

/** @throws ConnectError INVALID_ARGUMENT if the bytes are no ActionResult, or a malformed one. */
export async function storeActionResult(instance: ServedInstance, hash: string, bytes: Uint8Array): Promise<void> {
  const digest = actionDigest(instance, hash);
  await instance.actionCache.put(digest, parseMessage(ActionResultSchema, bytes, `the result of action ${hash}`));
}

/** The path has no size: 0 stands for it. */
function actionDigest(instance: ServedInstance, hash: string): Digest {
  return digestOfHash(instance, hash, 0);
}
