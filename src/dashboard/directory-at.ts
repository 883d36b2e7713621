import { toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type Directory,
  DirectorySchema,
  TreeSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { type Digest, digestFromWire, digestKey } from "../digest/digest.ts";
import { startHash } from "../digest/verify.ts";
import { takeMemoryToDecode } from "../trees/decoded-bytes.ts";
import { blobGone } from "./blob-request.ts";
import { MAX_MESSAGE_BYTES, readMessage } from "./stored-action.ts";

/** The deepest directory that is gone down to. */
const MAX_DEPTH = 200;

/**
 * The directory at a path below a root that is stored as Directory messages, one for each.
 * @throws ConnectError NOT_FOUND if there is none, or a directory on the way is not stored any more; RESOURCE_EXHAUSTED if one
 * is too large for a page
 */
export function directoryAt(blobs: BlobStore, root: Digest, path: string): Promise<Directory> {
  return descend(root, path, (digest) => decoding(digest, () => readMessage(blobs, DirectorySchema, digest)));
}

/** The same below a root that is stored as a Tree message, which holds all of its directories. */
export function directoryOfTree(blobs: BlobStore, treeDigest: Digest, path: string): Promise<Directory> {
  return decoding(treeDigest, () => findInTree(blobs, treeDigest, path));
}

/** Has the memory for a message while it is read and decoded. */
async function decoding<T>(digest: Digest, read: () => Promise<T>): Promise<T> {
  if (digest.sizeBytes > MAX_MESSAGE_BYTES) {
    throw new ConnectError(
      `${digestKey(digest)} is larger than the ${MAX_MESSAGE_BYTES} bytes of a tree that are shown; read it with a client`,
      Code.ResourceExhausted,
    );
  }
  const release = await takeMemoryToDecode([digest]);
  try {
    return await read();
  } finally {
    release();
  }
}

async function findInTree(blobs: BlobStore, treeDigest: Digest, path: string): Promise<Directory> {
  const tree = await readMessage(blobs, TreeSchema, treeDigest);
  if (tree?.root === undefined) throw blobGone(treeDigest);
  const { digestFunction } = treeDigest;
  const byHash = new Map<string, Directory>();
  if (path !== "") {
    for (const child of tree.children) {
      byHash.set(startHash(digestFunction).update(toBinary(DirectorySchema, child)).digest("hex"), child);
    }
  }
  const { root } = tree;
  return descend(treeDigest, path, (digest) => Promise.resolve(digest === treeDigest ? root : byHash.get(digest.hash)));
}

async function descend(
  root: Digest,
  path: string,
  read: (digest: Digest) => Promise<Directory | undefined>,
): Promise<Directory> {
  const names = path.split("/").filter((name) => name !== "");
  if (names.length > MAX_DEPTH) throw noDirectory(path);
  let digest = root;
  for (let depth = 0; ; depth++) {
    const directory = await read(digest);
    if (directory === undefined) throw blobGone(digest);
    const name = names[depth];
    if (name === undefined) return directory;
    const child = directory.directories.find((candidate) => candidate.name === name);
    if (child === undefined) throw noDirectory(path, digestKey(root));
    digest = digestFromWire(root.digestFunction, child.digest, `digest of directory ${name}`);
  }
}

function noDirectory(path: string, root = "it"): ConnectError {
  return new ConnectError(`there is no directory ${JSON.stringify(path.slice(0, 256))} in ${root}`, Code.NotFound);
}
