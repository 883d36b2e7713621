import { ActionCache, type Digest } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { callUnary } from "../calls/caller.ts";
import type { Blob } from "../fixtures/blobs.ts";
import { upload } from "../fixtures/upload.ts";
import type { Target } from "./scenario.ts";

const OUTPUTS = 3;
const OUTPUT_BYTES = 8 * 1024;

/** An action with a cached result. */
export interface CachedAction {
  readonly digest: Digest;
  readonly outputs: readonly Blob[];
}

/** Stores results with three outputs of 8 KiB each, which are in the CAS. */
export async function storeActionResults(target: Target, count: number): Promise<CachedAction[]> {
  const actions = Array.from({ length: count }, () => ({
    digest: target.blobs.absent(142),
    outputs: target.blobs.uniques(OUTPUTS, OUTPUT_BYTES),
  }));
  await upload(
    target,
    actions.flatMap(({ outputs }) => outputs),
  );
  for (const { digest, outputs } of actions) {
    await callUnary(target.caller, ActionCache.method.updateActionResult, {
      instanceName: target.instanceName,
      actionDigest: digest,
      actionResult: {
        outputFiles: outputs.map((blob, i) => ({ path: `out/${i}`, digest: blob.digest })),
        executionMetadata: { worker: "bench" },
      },
    });
  }
  return actions;
}
