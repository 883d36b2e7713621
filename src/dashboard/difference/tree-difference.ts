import type { Directory } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { DirectorySchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../../blob-store/blob-store.ts";
import { type Digest, digestFromWire, digestKey } from "../../digest/digest.ts";
import { parseMessage } from "../../errors/parse-message.ts";
import { sizeText } from "../parts/text.ts";
import type { Difference } from "./action-difference.ts";

/** Bounds on what one comparison reads and tells. */
const MAX = { directories: 2000, differences: 200, directoryBytes: 4 << 20, batchBytes: 4 << 20, batchPairs: 100 };

export interface TreeDifference {
  readonly differences: readonly Difference[];
  /** There may be more: a bound was reached, or a directory is not stored any more. */
  readonly incomplete: string | undefined;
}

/** Two directories at the same place of two trees; undefined where one tree has none there. */
interface Pair {
  readonly path: string;
  readonly before: Digest | undefined;
  readonly after: Digest | undefined;
}

/**
 * What two trees differ in. Only directories whose digests differ are read, level by level; of a directory that only one of
 * them has, the name is told and not what is in it.
 */
export async function treeDifferences(blobs: BlobStore, before: Digest, after: Digest): Promise<TreeDifference> {
  const differences: Difference[] = [];
  let incomplete: string | undefined;
  let readCount = 0;
  let level: Pair[] = [{ path: "", before, after }].filter(differ);
  while (level.length > 0) {
    const batch = level.slice(0, MAX.batchPairs);
    readCount += batch.length * 2;
    if (readCount > MAX.directories) {
      incomplete = `only ${MAX.directories} directories were looked into`;
      break;
    }
    const directories = await readDirectories(
      blobs,
      batch.flatMap((pair) => [pair.before, pair.after]),
    );
    const next: Pair[] = [];
    for (const [index, pair] of batch.entries()) {
      const [a, b] = [directories[index * 2], directories[index * 2 + 1]];
      if (a === undefined || b === undefined) {
        incomplete = `the directory ${pair.path || "/"} is no longer in the CAS`;
        continue;
      }
      const compared = compare(pair, a, b);
      differences.push(...compared.differences);
      next.push(...compared.below);
    }
    level = [...level.slice(batch.length), ...next];
    if (differences.length > MAX.differences) {
      incomplete = `only the first ${MAX.differences} differences are shown`;
      break;
    }
  }
  return { differences: differences.slice(0, MAX.differences), incomplete };
}

function differ({ after, before }: Pair): boolean {
  return before !== undefined && after !== undefined && digestKey(before) !== digestKey(after);
}

async function readDirectories(
  blobs: BlobStore,
  digests: readonly (Digest | undefined)[],
): Promise<(Directory | undefined)[]> {
  const wanted = digests.filter((digest) => digest !== undefined && digest.sizeBytes <= MAX.directoryBytes);
  const bytes = new Map<Digest, Uint8Array | undefined>();
  for (let from = 0; from < wanted.length;) {
    let to = from;
    let sizeBytes = 0;
    while (to < wanted.length && (to === from || sizeBytes + (wanted[to]?.sizeBytes ?? 0) <= MAX.batchBytes)) {
      sizeBytes += wanted[to]?.sizeBytes ?? 0;
      to++;
    }
    const batch = wanted.slice(from, to).filter((digest) => digest !== undefined);
    const contents = await blobs.readBatch(batch);
    for (const [index, digest] of batch.entries()) bytes.set(digest, contents[index]);
    from = to;
  }
  return digests.map((digest) => {
    const content = digest && bytes.get(digest);
    return content && parseMessage(DirectorySchema, content, "a directory of the input tree");
  });
}

function compare({ after, before, path }: Pair, a: Directory, b: Directory) {
  const digestFunction = (before ?? after)?.digestFunction;
  const differences: Difference[] = [];
  const below: Pair[] = [];
  const inA = entries(a);
  const inB = entries(b);
  for (const name of new Set([...inA.keys(), ...inB.keys()])) {
    const entryA = inA.get(name);
    const entryB = inB.get(name);
    if (entryA?.text === entryB?.text && entryA?.directory === undefined && entryB?.directory === undefined) continue;
    const at = path === "" ? name : `${path}/${name}`;
    if (entryA?.directory !== undefined && entryB?.directory !== undefined && digestFunction !== undefined) {
      const pair: Pair = {
        path: at,
        before: digestFromWire(digestFunction, entryA.directory, at),
        after: digestFromWire(digestFunction, entryB.directory, at),
      };
      if (differ(pair)) below.push(pair);
    } else {
      differences.push({ what: "input", name: at, before: entryA?.text, after: entryB?.text });
    }
  }
  return { differences, below };
}

/** The entries of a directory by name, each in a few words that are equal for equal entries. */
function entries({ directories, files, symlinks }: Directory) {
  type Entry = { readonly text: string; readonly directory?: NonNullable<(typeof directories)[number]["digest"]> };
  const byName = new Map<string, Entry>();
  for (const { digest, isExecutable, name } of files) {
    const size = sizeText(Number(digest?.sizeBytes ?? 0n));
    byName.set(name, { text: `${digest?.hash.slice(0, 12) ?? ""} ${size}${isExecutable ? ", executable" : ""}` });
  }
  for (const { name, target } of symlinks) byName.set(name, { text: `link to ${target}` });
  for (const { digest, name } of directories) {
    byName.set(name, digest === undefined ? { text: "directory" } : { text: "directory", directory: digest });
  }
  return byName;
}
