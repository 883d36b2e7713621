import { Code, ConnectError } from "@connectrpc/connect";
import { blobResourceName } from "../../src/byte-stream/resource-name.ts";
import type { Digest } from "../../src/digest/digest.ts";

/** DATA_LOSS: the CAS answered with other bytes than the digest's. */
export function corruptBlobError(digest: Digest): ConnectError {
  return new ConnectError(`the CAS returned other bytes for ${blobResourceName(digest)}`, Code.DataLoss);
}
