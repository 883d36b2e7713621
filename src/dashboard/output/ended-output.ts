import type { ActionResult } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../../blob-store/blob-store.ts";
import { readChunks } from "../../bytes/read-chunks.ts";
import { type Digest, digestFromWire } from "../../digest/digest.ts";
import type { DigestFunction } from "../../digest/digest-function.ts";
import type { OutputStream } from "../../execution/operation-message.ts";
import { AnsiReader, type StyledText } from "./ansi.ts";

/** How much of a stream's end is shown on a page. */
export const SHOWN_BYTES = 256 << 10;

/** What an action has written to one of its streams. */
export interface EndedOutput {
  readonly stream: OutputStream;
  readonly sizeBytes: number;
  /** The whole of it; undefined where it came with the result. */
  readonly digest: Digest | undefined;
  /** The end of it, or all; undefined if it is not stored any more. */
  readonly pieces: readonly StyledText[] | undefined;
}

export async function endedOutput(
  blobs: BlobStore,
  digestFunction: DigestFunction,
  result: ActionResult,
  stream: OutputStream,
): Promise<EndedOutput> {
  const [raw, wire] =
    stream === "stdout" ? [result.stdoutRaw, result.stdoutDigest] : [result.stderrRaw, result.stderrDigest];
  const digest = wire && digestFromWire(digestFunction, wire, stream);
  if (raw.length > 0 || digest === undefined) {
    const reader = new AnsiReader();
    const pieces = [...reader.read(raw.subarray(-SHOWN_BYTES)), ...reader.end()];
    return { stream, sizeBytes: raw.length, digest, pieces };
  }
  const offsetBytes = Math.max(digest.sizeBytes - SHOWN_BYTES, 0);
  const bytes = await blobs.read(digest, { offsetBytes });
  return {
    stream,
    sizeBytes: digest.sizeBytes,
    digest,
    pieces: bytes && (await piecesOf(bytes, digest.sizeBytes - offsetBytes)),
  };
}

async function piecesOf(stream: ReadableStream<Uint8Array>, lengthBytes: number): Promise<StyledText[]> {
  const reader = new AnsiReader();
  const pieces: StyledText[] = [];
  for await (const chunk of readChunks(stream, { lengthBytes, maxBytes: SHOWN_BYTES }))
    pieces.push(...reader.read(chunk));
  return [...pieces, ...reader.end()];
}
