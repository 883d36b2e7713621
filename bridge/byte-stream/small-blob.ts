import { Code } from "@connectrpc/connect";
import {
  DigestFunction_Value,
  type Digest as WireDigest,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobName } from "../../src/byte-stream/resource-name.ts";
import type { Digest } from "../../src/digest/digest.ts";
import { type CallContext, type Caller, carryCall } from "../call.ts";
import { callerKey, invocationOf, sharedMetadata } from "../caller.ts";
import type { ClientCall } from "../client-call.ts";
import type { HeldRequest } from "../held-request.ts";
import { codeOf } from "../trailers.ts";
import type { UnaryAnswer } from "../unary-call.ts";

/** A client's call about one small blob, which may go in a batch with others. */
export interface SmallBlobCall {
  readonly call: ClientCall;
  /** Held whole, to carry the call alone if the batch can't answer it. */
  readonly request: HeldRequest;
  readonly name: BlobName;
  readonly digest: Digest;
}

/** Calls of one key may go in one batch: it has one instance, one digest function, one caller and one of its builds. */
export function batchKey({ call, name }: SmallBlobCall): string {
  const { instanceName, digestFunctionName } = name;
  const { metadata } = call;
  return JSON.stringify([instanceName, digestFunctionName, callerKey(metadata), invocationOf(metadata)]);
}

/** What the request of a batch says beside its blobs. Where a resource name is silent about the digest function, so is it. */
export function batchHead({ name, digest }: SmallBlobCall): {
  instanceName: string;
  digestFunction: DigestFunction_Value;
} {
  const named = name.digestFunctionName !== undefined;
  return {
    instanceName: name.instanceName,
    digestFunction: named ? digest.digestFunction.value : DigestFunction_Value.UNKNOWN,
  };
}

/** On whose behalf a batch is sent: it has as long as the most patient of its calls. */
export function callerOfBatch(first: SmallBlobCall, members: readonly SmallBlobCall[]): Caller {
  const longestMs = Math.max(...members.map(({ call }) => call.remainingMs ?? Infinity));
  return {
    metadata: sharedMetadata(first.call.metadata),
    remainingMs: longestMs === Infinity ? undefined : longestMs,
  };
}

/** Aborted once every one of the calls is over. */
export function whenAllOver(members: readonly SmallBlobCall[]): AbortSignal {
  const over = new AbortController();
  let going = members.length;
  for (const { call } of members) {
    call.onceOver(() => {
      if (--going === 0) over.abort();
    });
  }
  return over.signal;
}

/** Codes with which a batch that fails as a whole fails for each of its calls, as that would have failed alone. */
const MEANT_FOR_EACH: ReadonlySet<Code | undefined> = new Set([
  Code.PermissionDenied,
  Code.ResourceExhausted,
  Code.Unauthenticated,
  Code.Unavailable,
]);

/**
 * Answers each call with what the batch's answer says of its blob, and carries those alone of which it says nothing.
 * @param answerOne returns false if the response can't answer the call
 */
export function answerEach<Member extends SmallBlobCall, Response extends { readonly digest?: WireDigest | undefined }>(
  members: readonly Member[],
  { message, trailers }: UnaryAnswer<{ readonly responses: readonly Response[] }>,
  answerOne: (member: Member, response: Response) => boolean,
  context: CallContext,
): void {
  const responses = new Map(
    message?.responses.map((response) => [`${response.digest?.hash}/${response.digest?.sizeBytes}`, response]),
  );
  for (const member of members) {
    const { call, digest, request } = member;
    if (call.isOver()) continue;
    const response = responses.get(`${digest.hash}/${digest.sizeBytes}`);
    if (message === undefined && MEANT_FOR_EACH.has(codeOf(trailers))) {
      call.finish(trailers);
    } else if (response === undefined || !answerOne(member, response)) {
      carryCall(call, context, request);
    }
  }
}
