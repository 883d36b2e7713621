import { Code } from "@connectrpc/connect";
import { WriteResponseSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import type { UploadName } from "../../src/byte-stream/resource-name.ts";
import type { CallContext } from "../call.ts";
import type { ClientCall } from "../client-call.ts";
import { FrameError } from "../frames.ts";
import type { BridgeLimits } from "../limits.ts";
import { passAnswer } from "../unary-call.ts";
import type { Upload } from "./carry-write.ts";
import { LargeWrite, type UploadSource } from "./large-write.ts";
import type { UploadMemory } from "./upload-tail.ts";
import type { WriteParts } from "./write-parts.ts";
import type { WritePart } from "./write-scanner.ts";
import { CompressedDataError, ZstdSource } from "./zstd-source.ts";

export interface LargeWriteContext extends CallContext {
  readonly uploadMemory: UploadMemory;
}

/** What REAPI has as the committed size of a compressed upload that the server ended early. */
const ENDED_EARLY = -1n;

/** Whether an upload is one that may take several requests, or be taken up again. */
export function isLarge({ name, digest }: Upload, { offset }: WritePart, limits: BridgeLimits): boolean {
  if (name.compressor === undefined) {
    return digest.sizeBytes > limits.resumableUploadBytes && offset >= 0n && offset <= BigInt(digest.sizeBytes);
  }
  // How large it is when compressed shows only when it is too late to send it otherwise.
  return name.compressor === "zstd" && digest.sizeBytes > limits.maxRequestBytes && offset === 0n;
}

/** Carries such an upload; a compressed one goes on uncompressed, since it can't be taken up in the middle. */
export async function carryLargeWrite(
  call: ClientCall,
  { name, digest }: Upload,
  first: WritePart,
  parts: WriteParts,
  context: LargeWriteContext,
): Promise<void> {
  const source = partsFrom(first, parts);
  const zstd = name.compressor === undefined ? undefined : new ZstdSource(source);
  const upload = {
    call,
    resourceName: zstd === undefined ? first.resourceName : uncompressedName(name),
    sizeBytes: digest.sizeBytes,
    offset: Number(first.offset),
    source: zstd ?? source,
  };
  const write = new LargeWrite(upload, context, context.uploadMemory);
  try {
    const answer = await write.run();
    if (answer === undefined) return;
    if (zstd !== undefined && answer.message !== undefined) {
      answer.message.committedSize = write.finished ? BigInt(zstd.compressedBytes) : ENDED_EARLY;
    }
    passAnswer(call, WriteResponseSchema, answer);
  } catch (error) {
    if (!(error instanceof FrameError) && !(error instanceof CompressedDataError)) throw error;
    call.fail(Code.InvalidArgument, `the upload is malformed: ${error.message}`);
  } finally {
    zstd?.close();
  }
}

/** The parts of a request whose first was read already. */
function partsFrom(first: WritePart, parts: WriteParts): UploadSource {
  let unread: WritePart | undefined = first;
  return {
    async next() {
      const part = unread ?? (await parts.next());
      unread = undefined;
      if (part === undefined && parts.midMessage) throw new FrameError("it ends within a message");
      return part;
    },
  };
}

/** The name under which the same blob is uploaded as it is. */
function uncompressedName(name: UploadName): string {
  const { instanceName, clientUploadId, digestFunctionName, hash, sizeBytes } = name;
  return [
    ...(instanceName === "" ? [] : [instanceName]),
    "uploads",
    clientUploadId,
    "blobs",
    ...(digestFunctionName === undefined ? [] : [digestFunctionName]),
    hash,
    sizeBytes,
  ].join("/");
}
