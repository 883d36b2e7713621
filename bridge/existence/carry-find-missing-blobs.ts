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
import type { RequestMemory } from "../request-memory.ts";
import { answerUnary, callUnary, passAnswer } from "../unary-call.ts";
import { type KnownBlobs, scopeOf } from "./known-blobs.ts";

/** What the FindMissingBlobs of one bridge share. */
export interface ExistenceContext extends CallContext {
  readonly knownBlobs: KnownBlobs;
  readonly existenceMemory: RequestMemory;
}

/**
 * Carries a FindMissingBlobs, without the blobs that are known to be there. As it comes, where its request is larger than
 * may be held.
 */
export async function carryFindMissingBlobs(call: ClientCall, context: ExistenceContext): Promise<void> {
  const { existenceMemory, knownBlobs: known, limits } = context;
  const held = new HeldRequest(call, limits.existenceRequestBytes, existenceMemory);
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
