import { createContextKey } from "@connectrpc/connect";
import {
  type DigestFunction_Value,
  FindMissingBlobsRequestSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { MessageAside } from "../connect/message-aside.ts";
import { parseDigest, requestDigestFunction } from "../digest/digest.ts";
import { WireDigests } from "../digest/wire-digests.ts";
import type { ServedInstance } from "../served-instance.ts";
import { checkDigestsAnswer } from "./batch-answer.ts";

/** The digests of a FindMissingBlobs, where they need not be decoded: then the request's message has none. */
export const askedOnWireKey = createContextKey<WireDigests | undefined>(undefined, {
  description: "digests that are asked for, as they came",
});

/** The answer to them. */
export const missingOnWireKey = createContextKey<Uint8Array | undefined>(undefined, {
  description: "digests that are missing, as they are sent",
});

/**
 * Lets the digests of a FindMissingBlobs be: the bytes that came are looked up, and go back as they are, since the field has
 * one number in both messages.
 */
export const digestsAside: MessageAside = {
  setAside(message, values) {
    const read = WireDigests.read(message, FindMissingBlobsRequestSchema.field.blobDigests.number);
    if (read === undefined) return message;
    values.set(askedOnWireKey, read.digests);
    return read.rest;
  },
  answer: (values) => values.get(missingOnWireKey),
};

/** Those that are not stored, as the message to answer with. */
export async function findMissingOnWire(
  { blobs, digestFunctions }: ServedInstance,
  asked: WireDigests,
  functionValue: DigestFunction_Value,
): Promise<Uint8Array> {
  const digestFunction = requestDigestFunction(functionValue, asked.firstHash, digestFunctions);
  // Says what is wrong if the hashes, which are all of one length, aren't of this function.
  parseDigest(digestFunction, asked.firstHash, 0);
  const missing = await blobs.findMissingColumns(asked.columns(digestFunction));
  const count = missing.reduce((sum, isMissing) => sum + isMissing, 0);
  checkDigestsAnswer(count, count * asked.hexLength);
  return asked.fields(missing);
}
