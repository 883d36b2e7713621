import { create } from "@bufbuild/protobuf";
import {
  ContentAddressableStorage,
  FindMissingBlobsRequestSchema,
  FindMissingBlobsResponseSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { type CallContext, carryCall } from "../call.ts";
import type { ClientCall } from "../client-call.ts";
import { HeldRequest } from "../held-request.ts";
import { readMessage } from "../read-message.ts";
import { answerUnary, callUnary, passAnswer } from "../unary-call.ts";
import { type KnownBlobs, scopeOf } from "./known-blobs.ts";

/** A hundred thousand digests; a larger request is carried as it comes. */
const MAX_REQUEST_BYTES = 8 * 1024 * 1024;

/** Carries a FindMissingBlobs, without the blobs that are known to be there. */
export async function carryFindMissingBlobs(call: ClientCall, context: CallContext, known: KnownBlobs): Promise<void> {
  const held = new HeldRequest(call, MAX_REQUEST_BYTES);
  const request = await readMessage(held, FindMissingBlobsRequestSchema);
  if (request === undefined) {
    if (!call.isOver()) carryCall(call, context, held);
    return;
  }
  const scope = scopeOf(call.metadata, request);
  const blobDigests = request.blobDigests.filter((digest) => !known.has(scope, digest));
  if (blobDigests.length === 0 && request.blobDigests.length > 0) {
    answerUnary(call, FindMissingBlobsResponseSchema, create(FindMissingBlobsResponseSchema));
    return;
  }
  const answer = await callUnary(
    ContentAddressableStorage.method.findMissingBlobs,
    create(FindMissingBlobsRequestSchema, { ...request, blobDigests }),
    call,
    context,
    call.signal,
  );
  if (answer.message !== undefined) {
    const missing = new Set(answer.message.missingBlobDigests.map(({ hash }) => hash));
    for (const digest of blobDigests) {
      if (!missing.has(digest.hash)) known.add(scope, digest);
    }
  }
  passAnswer(call, FindMissingBlobsResponseSchema, answer);
}
