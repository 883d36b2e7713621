import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  ActionCache,
  type ActionResult,
  ActionResultSchema,
  type Digest as WireDigest,
  type GetActionResultRequest,
  GetActionResultRequestSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { SMALL_OUTPUTS_HEADER } from "../../src/action-cache/small-outputs-header.ts";
import { digestFromWire, requestDigestFunction } from "../../src/digest/digest.ts";
import { type CallContext, carryCall } from "../call.ts";
import type { ClientCall } from "../client-call.ts";
import { HeldRequest } from "../held-request.ts";
import { readMessage } from "../read-message.ts";
import { callUnary, passAnswer } from "../unary-call.ts";
import { outputKey, type OutputMemory } from "./output-memory.ts";

/** Of a request with many output paths; a larger one is carried as it comes. */
const MAX_REQUEST_BYTES = 256 * 1024;

export interface ActionCacheContext extends CallContext {
  readonly outputMemory: OutputMemory;
}

/**
 * Carries a GetActionResult, and asks for the small outputs with the result, so that the client's Reads of them need no
 * further round trip. What the client did not ask for is taken out of its answer.
 */
export async function carryGetActionResult(call: ClientCall, context: ActionCacheContext): Promise<void> {
  const { outputMemory, limits } = context;
  const held = new HeldRequest(call, MAX_REQUEST_BYTES);
  const request = outputMemory.isWorthFilling() ? await readMessage(held, GetActionResultRequestSchema) : undefined;
  if (request === undefined) {
    if (!call.isOver()) carryCall(call, context, held);
    return;
  }
  const answer = await callUnary(
    ActionCache.method.getActionResult,
    create(GetActionResultRequestSchema, { ...request, inlineStdout: true, inlineStderr: true }),
    {
      metadata: { ...call.metadata, [SMALL_OUTPUTS_HEADER]: String(limits.outputMemoryBlobBytes) },
      remainingMs: call.remainingMs,
    },
    context,
    call.signal,
  );
  if (answer.message !== undefined) {
    rememberOutputs(answer.message, request, call, outputMemory);
    takeOutUnwanted(answer.message, request);
  }
  passAnswer(call, ActionResultSchema, answer);
}

function rememberOutputs(
  { stdoutDigest, stdoutRaw, stderrDigest, stderrRaw, outputFiles }: ActionResult,
  { instanceName, digestFunction, actionDigest }: GetActionResultRequest,
  { metadata }: ClientCall,
  outputMemory: OutputMemory,
): void {
  const remember = (wire: WireDigest | undefined, bytes: Uint8Array): void => {
    if (wire === undefined || bytes.length === 0) return;
    const digest = digestFromWire(requestDigestFunction(digestFunction, actionDigest?.hash), wire, "output");
    outputMemory.remember(outputKey(metadata, instanceName, digest), digest, bytes);
  };
  try {
    remember(stdoutDigest, stdoutRaw);
    remember(stderrDigest, stderrRaw);
    for (const { digest, contents } of outputFiles) remember(digest, contents);
  } catch (error) {
    // A digest that can't be read is for the client to judge.
    if (!(error instanceof ConnectError)) throw error;
  }
}

/** What has no digest stays: it can't be read in another way. */
function takeOutUnwanted(result: ActionResult, request: GetActionResultRequest): void {
  const nothing = new Uint8Array();
  if (!request.inlineStdout && result.stdoutDigest !== undefined) result.stdoutRaw = nothing;
  if (!request.inlineStderr && result.stderrDigest !== undefined) result.stderrRaw = nothing;
  const wanted = new Set(request.inlineOutputFiles);
  for (const file of result.outputFiles) {
    if (!wanted.has(file.path) && file.digest !== undefined) file.contents = nothing;
  }
}
