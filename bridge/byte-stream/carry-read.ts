import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  type ReadRequest,
  ReadRequestSchema,
  ReadResponseSchema,
} from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { digestOfName, parseReadName } from "../../src/byte-stream/resource-name.ts";
import { DIGEST_FUNCTIONS } from "../../src/digest/digest-function.ts";
import type { ActionCacheContext } from "../action-cache/carry-get-action-result.ts";
import { outputKey } from "../action-cache/output-memory.ts";
import { type CallContext, carryCall } from "../call.ts";
import type { ClientCall } from "../client-call.ts";
import { HeldRequest } from "../held-request.ts";
import { readMessage } from "../read-message.ts";
import { answerUnary } from "../unary-call.ts";
import type { SmallBlobCall } from "./small-blob.ts";
import type { SmallReads } from "./small-reads.ts";

/** No ReadRequest is near this. */
const MAX_REQUEST_BYTES = 32 * 1024;

/** What the Reads of one bridge share. */
export interface ReadContext extends ActionCacheContext {
  readonly smallReads: SmallReads;
}

/** Carries a ByteStream.Read: of an output at hand not at all, of a small blob in a batch, and any other as it comes. */
export async function carryRead(call: ClientCall, context: ReadContext): Promise<void> {
  const request = new HeldRequest(call, MAX_REQUEST_BYTES);
  const message = await readMessage(request, ReadRequestSchema);
  const blob = message === undefined ? undefined : parseWholeRead(message);
  const data = blob === undefined ? undefined : recall(blob, call, context);
  if (data !== undefined) {
    answerUnary(call, ReadResponseSchema, create(ReadResponseSchema, { data }));
  } else if (blob !== undefined && isSmall(blob, context)) {
    context.smallReads({ call, request, ...blob });
  } else if (!call.isOver()) {
    carryCall(call, context, request);
  }
}

type WholeRead = Pick<SmallBlobCall, "name" | "digest">;

/** The blob that is read whole, or undefined: of a part, or something that the endpoint would refuse or knows better. */
function parseWholeRead({ resourceName, readOffset, readLimit }: ReadRequest): WholeRead | undefined {
  try {
    const name = parseReadName(resourceName);
    const digest = digestOfName(name, DIGEST_FUNCTIONS);
    const whole = readOffset === 0n && (readLimit === 0n || readLimit >= BigInt(digest.sizeBytes));
    return whole && name.compressor === undefined ? { name, digest } : undefined;
  } catch (error) {
    if (error instanceof ConnectError) return undefined;
    throw error;
  }
}

function recall({ name, digest }: WholeRead, call: ClientCall, { outputMemory }: ReadContext): Uint8Array | undefined {
  // Most bridges' callers never have any: then they needn't be told apart.
  if (outputMemory.isEmpty) return undefined;
  return outputMemory.recall(outputKey(call.metadata, name.instanceName, digest));
}

function isSmall({ digest }: WholeRead, { limits }: CallContext): boolean {
  return limits.batchWindowMs > 0 && digest.sizeBytes <= limits.batchBlobBytes;
}
