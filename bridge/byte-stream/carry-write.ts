import { ConnectError } from "@connectrpc/connect";
import { digestOfName, parseUploadName, type UploadName } from "../../src/byte-stream/resource-name.ts";
import { DIGEST_FUNCTIONS } from "../../src/digest/digest-function.ts";
import type { Digest } from "../../src/digest/digest.ts";
import { type CallContext, carryCall } from "../call.ts";
import { carryLargeWrite, isLarge, type LargeWriteContext } from "./carry-large-write.ts";
import type { ClientCall } from "../client-call.ts";
import { FrameError } from "../frames.ts";
import { HeldRequest } from "../held-request.ts";
import type { BridgeLimits } from "../limits.ts";
import type { SmallWrites } from "./small-writes.ts";
import { WriteParts } from "./write-parts.ts";
import type { WritePart } from "./write-scanner.ts";

/** What the Writes of one bridge share. */
export interface WriteContext extends LargeWriteContext {
  readonly smallWrites: SmallWrites;
}

/**
 * Carries a ByteStream.Write: a small blob in a batch, a large one in requests that the endpoint takes, and anything else
 * as it comes, above all what is malformed, so that its error is the endpoint's own.
 */
export async function carryWrite(call: ClientCall, context: WriteContext): Promise<void> {
  const request = new HeldRequest(call, maxHeldBytes(context.limits));
  const parts = new WriteParts(request);
  const first = await unlessMalformed(parts.next());
  const upload = first === undefined ? undefined : parseUpload(first);
  if (first !== undefined && upload !== undefined) {
    if (isSmall(upload, first, context)) {
      const data = await unlessMalformed(readWhole(first, upload, parts));
      if (data !== undefined) {
        context.smallWrites({ call, request, ...upload, data });
        return;
      }
    } else if (isLarge(upload, first, context.limits)) {
      request.release();
      await carryLargeWrite(call, upload, first, parts, context);
      return;
    }
  }
  if (!call.isOver()) carryCall(call, context, request);
}

/** Room for a small blob with the frames and names around it, however small its messages are within reason. */
function maxHeldBytes({ batchBlobBytes }: BridgeLimits): number {
  return 2 * batchBlobBytes + 32 * 1024;
}

/** Which blob a Write is of. */
export interface Upload {
  readonly name: UploadName;
  readonly digest: Digest;
}

/** Undefined if the endpoint would refuse it, or understands more than the bridge. */
function parseUpload({ resourceName }: WritePart): Upload | undefined {
  try {
    const name = parseUploadName(resourceName);
    return { name, digest: digestOfName(name, DIGEST_FUNCTIONS) };
  } catch (error) {
    if (error instanceof ConnectError) return undefined;
    throw error;
  }
}

function isSmall({ name, digest }: Upload, { offset }: WritePart, { limits }: CallContext): boolean {
  return (
    limits.batchWindowMs > 0 &&
    digest.sizeBytes <= limits.batchBlobBytes &&
    name.compressor === undefined &&
    offset === 0n
  );
}

/** The data of a whole blob, or undefined if the messages are not those of one. */
async function readWhole(first: WritePart, { digest }: Upload, parts: WriteParts): Promise<Uint8Array[] | undefined> {
  const data: Uint8Array[] = [];
  let bytes = 0;
  for (let part: WritePart | undefined = first; part !== undefined; part = await parts.next()) {
    const sameName = part.resourceName === "" || part.resourceName === first.resourceName;
    if (!sameName || part.offset !== BigInt(bytes)) return undefined;
    data.push(part.data);
    bytes += part.data.length;
    if (bytes > digest.sizeBytes) return undefined;
    if (part.finishWrite) return bytes === digest.sizeBytes ? data : undefined;
  }
  return undefined;
}

async function unlessMalformed<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof FrameError) return undefined;
    throw error;
  }
}
