import { TreeSchema, type Directory } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { chunkBySize } from "../batching/chunk.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import { digestFromWire, digestKey, type Digest } from "../digest/digest.ts";
import { parseMessage } from "../errors/parse-message.ts";
import { walkTree } from "../trees/walk-tree.ts";
import type { ActionResultReferences } from "./validate-action-result.ts";

/** How much of Trees is read at once; a larger one is read by itself. */
const MAX_READ_BYTES = 8 << 20;

/**
 * Whether every blob that an ActionResult needs is stored, those that its Trees and Directories name included. Without
 * output directories it is one round to the shards; with Trees, which are read at the same time, it is two.
 * @throws ConnectError INVALID_ARGUMENT if a Tree or Directory is malformed.
 */
export async function isComplete(references: ActionResultReferences, blobs: BlobStore): Promise<boolean> {
  const { trees, rootDirectories } = references;
  const [missing, treeFiles, directoryFiles] = await Promise.all([
    blobs.findMissing([...references.blobs, ...trees, ...rootDirectories]),
    filesOfTrees(trees, blobs),
    filesOfDirectories(rootDirectories, blobs),
  ]);
  if (missing.length > 0 || treeFiles === undefined || directoryFiles === undefined) return false;
  const files = [...treeFiles, ...directoryFiles];
  return files.length === 0 || (await blobs.findMissing(files)).length === 0;
}

/** The files of all of the trees, or undefined if one of the trees is missing. */
async function filesOfTrees(digests: readonly Digest[], blobs: BlobStore): Promise<Digest[] | undefined> {
  const files: Digest[] = [];
  for (const batch of chunkBySize(digests, ({ sizeBytes }) => sizeBytes, MAX_READ_BYTES)) {
    const trees = await blobs.readBatch(batch);
    for (const [position, digest] of batch.entries()) {
      const bytes = trees[position];
      if (bytes === undefined) return undefined;
      const { root, children } = parseMessage(TreeSchema, bytes, `blob ${digestKey(digest)}`);
      for (const directory of root === undefined ? children : [root, ...children]) {
        files.push(...filesOf(directory, digest.digestFunction));
      }
    }
  }
  return files;
}

/** The files of the directories and of all below them, or undefined if one of the directories is missing. */
async function filesOfDirectories(roots: readonly Digest[], blobs: BlobStore): Promise<Digest[] | undefined> {
  const files: Digest[] = [];
  for await (const { digest, directory } of walkTree(roots, blobs)) {
    if (directory === undefined) return undefined;
    files.push(...filesOf(directory, digest.digestFunction));
  }
  return files;
}

function filesOf(directory: Directory, digestFunction: DigestFunction): Digest[] {
  return directory.files.map((file) => digestFromWire(digestFunction, file.digest, `digest of file ${file.name}`));
}
