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

/**
 * Puts contents into `result` where they are wanted and fit: REAPI lets a server omit any of them. Stdout and stderr come
 * first, then the files that are named, then the others. The digests stay.
 */
export async function inlineOutputs(
  result: ActionResult,
  wanted: WantedInline,
  blobs: BlobStore,
  digestFunction: DigestFunction,
): Promise<void> {
  const wantedFiles = new Set(wanted.inlineOutputFiles);
  const candidates: { digest: Digest; put: (bytes: Uint8Array) => void }[] = [];
  if (wanted.inlineStdout && result.stdoutDigest !== undefined && result.stdoutRaw.length === 0) {
    const digest = digestFromWire(digestFunction, result.stdoutDigest, "stdout_digest");
    candidates.push({ digest, put: (bytes) => (result.stdoutRaw = bytes) });
  }
  if (wanted.inlineStderr && result.stderrDigest !== undefined && result.stderrRaw.length === 0) {
    const digest = digestFromWire(digestFunction, result.stderrDigest, "stderr_digest");
    candidates.push({ digest, put: (bytes) => (result.stderrRaw = bytes) });
  }
  const others: typeof candidates = [];
  for (const file of result.outputFiles) {
    const isWanted = wantedFiles.has(file.path);
    if (file.contents.length > 0 || (!isWanted && wanted.everyFileUpToBytes === undefined)) continue;
    const digest = digestFromWire(digestFunction, file.digest, "output_files.digest");
    if (!isWanted && digest.sizeBytes > (wanted.everyFileUpToBytes ?? 0)) continue;
    (isWanted ? candidates : others).push({ digest, put: (bytes) => (file.contents = bytes) });
  }
  candidates.push(...others);

  let remainingBytes = MAX_INLINE_BYTES;
  const fitting = candidates.filter(({ digest }) => {
    if (digest.sizeBytes > remainingBytes) return false;
    remainingBytes -= digest.sizeBytes;
    return true;
  });
  if (fitting.length === 0) return;
  const contents = await blobs.readBatch(fitting.map(({ digest }) => digest));
  fitting.forEach(({ put }, position) => {
    const bytes = contents[position];
    if (bytes !== undefined) put(bytes);
  });
}
