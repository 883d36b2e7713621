import { DigestFunction_Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { RequestBody } from "../connect/request-body.ts";
import { parseDigest, requestDigestFunction, type Digest } from "../digest/digest.ts";
import { digestMismatch } from "../digest/verify.ts";
import type { ServedInstance } from "../served-instance.ts";
import { blobNamed, nameBlob } from "./named-blobs.ts";
import { endsElsewhere } from "./request-content.ts";

/**
 * The stored blob with a hash that came over HTTP. The index finds blobs by hash and size and a path has no size, so each
 * blob that comes over HTTP is also named by its hash: one that came only over gRPC is not found here.
 */
export async function findByHash(instance: ServedInstance, hash: string): Promise<Digest | undefined> {
  const empty = digestOfHash(instance, hash, 0);
  if (digestMismatch(empty, new Uint8Array(0)) === undefined) return empty;
  const found = await blobNamed(instance, casName(hash), empty.digestFunction);
  // Whoever may write action results could have given the name to something else.
  return found?.hash === hash ? found : undefined;
}

/**
 * Stores the body of a PUT, as it comes, and names it by its hash.
 * @throws ConnectError INVALID_ARGUMENT if the bytes don't have the hash, or as `BlobStore.write` does.
 */
export async function storeByHash(
  instance: ServedInstance,
  hash: string,
  lengthBytes: number,
  body: RequestBody,
): Promise<void> {
  const digest = digestOfHash(instance, hash, lengthBytes);
  const upload = { instance: instance.config.name, clientUploadId: crypto.randomUUID(), digest };
  const storedBytes = await instance.blobs.write(upload, 0, body);
  if (storedBytes < lengthBytes) throw endsElsewhere(storedBytes, lengthBytes);
  if (lengthBytes > 0) await nameBlob(instance, casName(hash), digest);
}

/** @throws ConnectError INVALID_ARGUMENT if it is no hash of a digest function of the instance. */
export function digestOfHash({ digestFunctions }: ServedInstance, hash: string, sizeBytes: number): Digest {
  const digestFunction = requestDigestFunction(DigestFunction_Value.UNKNOWN, hash, digestFunctions);
  return parseDigest(digestFunction, hash, sizeBytes);
}

function casName(hash: string): string {
  return `cas/${hash}`;
}
