import { chunkBySize } from "../batching/chunk.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import { digestFromWire, type Digest } from "../digest/digest.ts";
import { takeMemory } from "../memory/isolate-memory.ts";
import { TreeScanner } from "../trees/tree-scanner.ts";
import { walkTree } from "../trees/walk-tree.ts";
import { StoredFiles } from "./stored-files.ts";
import type { ActionResultReferences } from "./validate-action-result.ts";

/** How much of Trees is read at once; a larger one is read as it comes, in pieces. */
const MAX_READ_BYTES = 1 << 20;
const PIECE_BYTES = 256 << 10;

/** What is needed of a BlobStore. */
type ReadableBlobs = Pick<BlobStore, "findMissing" | "read" | "readBatch">;

/** Trees up to this size together, as most results have them, don't wait for memory that others hold. */
const FREE_BYTES = 128 << 10;

/**
 * Whether every blob that an ActionResult needs is stored, those that its Trees and Directories name included. Without
 * output directories it is one round to the shards; with Trees, which are read at the same time, it is two. Trees of very
 * many files take more: neither they nor their files' digests are ever held whole.
 * @throws ConnectError INVALID_ARGUMENT if a Tree or Directory is malformed, UNAVAILABLE if too much is held by others.
 */
export async function isComplete(references: ActionResultReferences, blobs: ReadableBlobs): Promise<boolean> {
  const { trees, rootDirectories } = references;
  const files = new StoredFiles((digests) => blobs.findMissing(digests));
  try {
    const [missing, treesAreStored, directoriesAreStored] = await Promise.all([
      blobs.findMissing([...references.blobs, ...trees, ...rootDirectories]),
      addFilesOfTrees(trees, blobs, files),
      addFilesOfDirectories(rootDirectories, blobs, files),
    ]);
    return missing.length === 0 && treesAreStored && directoriesAreStored && (await files.areAllStored());
  } finally {
    files.close();
  }
}

/** False if one of the trees is missing, or one of the files is known to be. */
async function addFilesOfTrees(digests: readonly Digest[], blobs: ReadableBlobs, files: StoredFiles): Promise<boolean> {
  for (const batch of chunkBySize(digests, ({ sizeBytes }) => sizeBytes, MAX_READ_BYTES)) {
    const [first] = batch;
    const isLarge = first !== undefined && first.sizeBytes > MAX_READ_BYTES;
    const isStored = await (isLarge ? addFilesOfLarge(first, blobs, files) : addFilesOfBatch(batch, blobs, files));
    if (!isStored) return false;
  }
  return true;
}

async function addFilesOfBatch(batch: readonly Digest[], blobs: ReadableBlobs, files: StoredFiles): Promise<boolean> {
  const batchBytes = batch.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const release = batchBytes > FREE_BYTES ? await takeMemory(batchBytes) : undefined;
  try {
    const trees = await blobs.readBatch(batch);
    for (const [position, digest] of batch.entries()) {
      const bytes = trees[position];
      if (bytes === undefined) return false;
      const scanner = new TreeScanner(digest);
      const isStored = await files.add(scanner.push(bytes));
      scanner.end();
      if (!isStored) return false;
    }
    return true;
  } finally {
    release?.();
  }
}

async function addFilesOfLarge(digest: Digest, blobs: ReadableBlobs, files: StoredFiles): Promise<boolean> {
  const release = await takeMemory(2 * PIECE_BYTES);
  try {
    const stream = await blobs.read(digest);
    if (stream === undefined) return false;
    const scanner = new TreeScanner(digest);
    const options = { lengthBytes: digest.sizeBytes, maxBytes: PIECE_BYTES, minBytes: PIECE_BYTES };
    for await (const piece of readChunks(stream, options)) {
      if (!(await files.add(scanner.push(piece)))) return false;
    }
    scanner.end();
    return true;
  } finally {
    release();
  }
}

/** False if one of the directories or of those below them is missing, or one of the files is known to be. */
async function addFilesOfDirectories(
  roots: readonly Digest[],
  blobs: ReadableBlobs,
  files: StoredFiles,
): Promise<boolean> {
  for await (const { digest, directory } of walkTree(roots, blobs)) {
    if (directory === undefined) return false;
    const digests = directory.files.map((file) =>
      digestFromWire(digest.digestFunction, file.digest, `digest of file ${file.name}`),
    );
    if (!(await files.add(digests))) return false;
  }
  return true;
}
