import { ContentAddressableStorage } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Blob } from "../e2e/action.ts";
import { call, type Endpoint } from "./call.ts";
import { Violation } from "./violation.ts";
import { INSTANCE } from "./world.ts";

const BATCH_BLOBS = 1000;

/** Stores blobs as anybody would. What is in them is the attack. */
export async function upload(endpoint: Endpoint, blobs: readonly Blob[]): Promise<void> {
  for (let start = 0; start < blobs.length; start += BATCH_BLOBS) {
    const requests = blobs.slice(start, start + BATCH_BLOBS).map(({ data, digest }) => ({ digest, data }));
    const method = ContentAddressableStorage.method.batchUpdateBlobs;
    const answer = await call(endpoint, method, { instanceName: INSTANCE, requests });
    if (answer.code !== "OK") throw new Violation(`an upload was answered with ${answer.code}: ${answer.text}`);
  }
}
