import type { ActionResult } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import { digestFromWire, type Digest } from "../digest/digest.ts";
import { MAX_MESSAGE_BYTES } from "../limits.ts";

/** What a GetActionResultRequest or ExecuteRequest asks to be put into the ActionResult itself. */
export interface WantedInline {
  readonly inlineStdout: boolean;
  readonly inlineStderr: boolean;
  /** Paths of output files. */
  readonly inlineOutputFiles: readonly string[];
  /** Output files up to this size are wanted whatever their paths. */
  readonly everyFileUpToBytes?: number | undefined;
}

/** What inlining may add: half of a message, the rest being for the result's own digests and paths. */
const MAX_INLINE_BYTES = MAX_MESSAGE_BYTES / 2;

/** Wants nothing. */
export const NOTHING_INLINE: WantedInline = { inlineStdout: false, inlineStderr: false, inlineOutputFiles: [] };

/** A blob whose bytes are wanted in a result, and that fits. */
export interface Inlining {
  readonly digest: Digest;
  readonly put: (bytes: Uint8Array) => void;
}

/**
 * The contents to put into `result`, where they are wanted and fit: REAPI lets a server omit any of them. Stdout and stderr
 * come first, then the files that are named, then the others. The digests stay.
 */
export function inliningsOf(result: ActionResult, wanted: WantedInline, digestFunction: DigestFunction): Inlining[] {
  const wantedFiles = new Set(wanted.inlineOutputFiles);
  const candidates: Inlining[] = [];
  if (wanted.inlineStdout && result.stdoutDigest !== undefined && result.stdoutRaw.length === 0) {
    const digest = digestFromWire(digestFunction, result.stdoutDigest, "stdout_digest");
    candidates.push({ digest, put: (bytes) => (result.stdoutRaw = bytes) });
  }
  if (wanted.inlineStderr && result.stderrDigest !== undefined && result.stderrRaw.length === 0) {
    const digest = digestFromWire(digestFunction, result.stderrDigest, "stderr_digest");
    candidates.push({ digest, put: (bytes) => (result.stderrRaw = bytes) });
  }
  const others: Inlining[] = [];
  for (const file of result.outputFiles) {
    const isWanted = wantedFiles.has(file.path);
    if (file.contents.length > 0 || (!isWanted && wanted.everyFileUpToBytes === undefined)) continue;
    const digest = digestFromWire(digestFunction, file.digest, "output_files.digest");
    if (!isWanted && digest.sizeBytes > (wanted.everyFileUpToBytes ?? 0)) continue;
    (isWanted ? candidates : others).push({ digest, put: (bytes) => (file.contents = bytes) });
  }
  candidates.push(...others);

  let remainingBytes = MAX_INLINE_BYTES;
  return candidates.filter(({ digest }) => {
    if (digest.sizeBytes > remainingBytes) return false;
    remainingBytes -= digest.sizeBytes;
    return true;
  });
}

/**
 * Puts the bytes in their places.
 * @returns whether all of the blobs are stored.
 */
export async function inline(inlinings: readonly Inlining[], blobs: BlobStore): Promise<boolean> {
  if (inlinings.length === 0) return true;
  const contents = await blobs.readBatch(inlinings.map(({ digest }) => digest));
  inlinings.forEach(({ put }, position) => {
    const bytes = contents[position];
    if (bytes !== undefined) put(bytes);
  });
  return !contents.includes(undefined);
}
