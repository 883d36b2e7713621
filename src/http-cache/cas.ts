import { DigestFunction_Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { RequestBody } from "../connect/request-body.ts";
import { parseDigest, requestDigestFunction, type Digest } from "../digest/digest.ts";
import type { ServedInstance } from "../served-instance.ts";
import { endsElsewhere } from "./request-content.ts";

/** The stored blob with a hash: a path has no size. */
export function findBlob(instance: ServedInstance, hash: string): Promise<Digest | undefined> {
  const { digestFunction } = digestOfHash(instance, hash, 0);
  return instance.blobs.findByHash(digestFunction, hash);
}

/**
 * Stores the body of a PUT, as it comes.
 * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the hash, or as `BlobStore.write` does.
 */
export async function storeBlob(
  instance: ServedInstance,
  hash: string,
  lengthBytes: number,
  body: RequestBody,
): Promise<void> {
  const digest = digestOfHash(instance, hash, lengthBytes);
  const upload = { instance: instance.config.name, clientUploadId: crypto.randomUUID(), digest };
  const storedBytes = await instance.blobs.write(upload, 0, body);
  if (storedBytes < lengthBytes) throw endsElsewhere(storedBytes, lengthBytes);
}

/** @throws ConnectError INVALID_ARGUMENT if it is no hash of a digest function of the instance. */
export function digestOfHash({ digestFunctions }: ServedInstance, hash: string, sizeBytes: number): Digest {
  const digestFunction = requestDigestFunction(DigestFunction_Value.UNKNOWN, hash, digestFunctions);
  return parseDigest(digestFunction, hash, sizeBytes);
}
