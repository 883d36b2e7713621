import { Code, ConnectError } from "@connectrpc/connect";
import {
  DirectorySchema,
  type Directory,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { digestFromWire, digestKey, type Digest } from "../digest/digest.ts";
import { parseMessage } from "../errors/parse-message.ts";

/** How much is read at once: enough to make rounds few, little enough for an isolate that serves others too. */
const MAX_READ_BYTES = 2 << 20;
const MAX_READ_DIRECTORIES = 1000;

/** A single Directory that is larger is not read; it would be one of some 300,000 files. */
const MAX_DIRECTORY_BYTES = 32 << 20;

/**
 * The directories of a tree, `roots` first and each before what is below it, each once even where it is a subtree of
 * several. `directory` is undefined where it is not stored. The order depends on the tree alone.
 *
 * @throws ConnectError INVALID_ARGUMENT if a blob is no Directory, RESOURCE_EXHAUSTED if one is too large to be read.
 */
export async function* walkTree(
  roots: readonly Digest[],
  blobs: BlobStore,
): AsyncGenerator<{ digest: Digest; directory: Directory | undefined }, void, undefined> {
  const queue: Digest[] = [];
  const seen = new Set<string>();
  const enqueue = (digest: Digest) => {
    const key = digestKey(digest);
    if (seen.has(key)) return;
    seen.add(key);
    queue.push(digest);
  };
  roots.forEach(enqueue);

  let next = 0;
  while (next < queue.length) {
    const batch = takeBatch(queue, next);
    next += batch.length;
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
  }
}

function takeBatch(queue: readonly Digest[], start: number): Digest[] {
  let bytes = 0;
  let end = start;
  for (const digest of queue.slice(start, start + MAX_READ_DIRECTORIES)) {
    if (digest.sizeBytes > MAX_DIRECTORY_BYTES) {
      throw new ConnectError(
        `directory ${digestKey(digest)} is larger than the ${MAX_DIRECTORY_BYTES} bytes that are read`,
        Code.ResourceExhausted,
      );
    }
    bytes += digest.sizeBytes;
    if (bytes > MAX_READ_BYTES && end > start) break;
    end++;
  }
  return queue.slice(start, end);
}
