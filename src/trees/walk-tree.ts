import { Code, ConnectError } from "@connectrpc/connect";
import {
  DirectorySchema,
  type Directory,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { digestFromWire, digestKey, type Digest } from "../digest/digest.ts";
import { parseMessage } from "../errors/parse-message.ts";
import { GrowingHold } from "../memory/growing-hold.ts";
import { takeMemoryToDecode } from "./decoded-bytes.ts";

/** How much is read at once: enough to make rounds few, little enough for an isolate that serves others too. */
const MAX_READ_BYTES = 1 << 20;
const MAX_READ_DIRECTORIES = 1000;

/** A single Directory that is larger is not read, since an isolate has no room for it; it would be one of some 110,000 files. */
const MAX_DIRECTORY_BYTES = 11 << 20;

/** A tree of more directories is not walked: all that were seen are known until the end. */
const MAX_DIRECTORIES = 120_000;

/** What a directory takes that was seen: its digest and its key. */
const SEEN_BYTES = 256;

/** Trees of some thousands of directories don't wait for memory that others hold. */
const FREE_SEEN_BYTES = 1 << 20;

/**
 * The directories of a tree, `roots` first and each before what is below it, each once even where it is a subtree of
 * several. `directory` is undefined where it is not stored. The order depends on the tree alone.
 *
 * @param owner who decides how fast the directories are taken, if that is a client
 * @throws ConnectError INVALID_ARGUMENT if a blob is no Directory, RESOURCE_EXHAUSTED if one is too large to be read, or they
 * are too many, UNAVAILABLE if too much memory is held by others.
 */
export async function* walkTree(
  roots: readonly Digest[],
  blobs: Pick<BlobStore, "readBatch">,
  owner?: string,
): AsyncGenerator<{ digest: Digest; directory: Directory | undefined }, void, undefined> {
  const queue: Digest[] = [];
  const seen = new Set<string>();
  const enqueue = (digest: Digest) => {
    const key = digestKey(digest);
    if (seen.has(key)) return;
    if (seen.size === MAX_DIRECTORIES) throw tooMany(roots);
    seen.add(key);
    queue.push(digest);
  };
  roots.forEach(enqueue);

  const seenHold = new GrowingHold(owner, FREE_SEEN_BYTES);
  try {
    while (queue.length > 0) {
      const batch = takeBatch(queue);
      const seenBefore = seen.size;
      const release = await takeMemoryToDecode(batch, owner);
      try {
        const contents = await blobs.readBatch(batch);
        for (const [position, digest] of batch.entries()) {
          const bytes = contents[position];
          const directory =
            bytes === undefined ? undefined : parseMessage(DirectorySchema, bytes, `blob ${digestKey(digest)}`);
          for (const child of directory?.directories ?? []) {
            enqueue(digestFromWire(digest.digestFunction, child.digest, `digest of directory ${child.name}`));
          }
          yield { digest, directory };
        }
      } finally {
        release();
      }
      // When the batch is done with: a very wide directory is never held together with the digests of what is in it.
      await seenHold.grow((seen.size - seenBefore) * SEEN_BYTES);
    }
  } finally {
    seenHold.release();
  }
}

/** Takes the next ones from the queue. */
function takeBatch(queue: Digest[]): Digest[] {
  let bytes = 0;
  let end = 0;
  for (const digest of queue.slice(0, MAX_READ_DIRECTORIES)) {
    if (digest.sizeBytes > MAX_DIRECTORY_BYTES) {
      throw new ConnectError(
        `directory ${digestKey(digest)} is larger than the ${MAX_DIRECTORY_BYTES} bytes that are read: split it`,
        Code.ResourceExhausted,
      );
    }
    bytes += digest.sizeBytes;
    if (bytes > MAX_READ_BYTES && end > 0) break;
    end++;
  }
  return queue.splice(0, end);
}

function tooMany([root]: readonly Digest[]): ConnectError {
  const which = root === undefined ? "" : ` of ${digestKey(root)}`;
  return new ConnectError(
    `the tree${which} has more than the ${MAX_DIRECTORIES} directories that are walked: ask for its subtrees`,
    Code.ResourceExhausted,
  );
}
