import { digestKey, type Digest } from "../../src/digest/digest.ts";
import { invalidArgument } from "../refusal.ts";
import type { DirectoryCache } from "./directory-cache.ts";
import { parseInputDirectory, type InputDirectory, type InputFile } from "./input-directory.ts";

/** An action's whole input tree. A directory that comes in several places is here once. */
export interface InputTree {
  readonly root: InputDirectory;
  readonly rootKey: string;
  /** Every directory, the root included, by `digestKey`. */
  readonly directories: ReadonlyMap<string, InputDirectory>;
  /** How many files, directories and symlinks each of them is when it is laid out, itself included. */
  readonly nodes: ReadonlyMap<string, number>;
}

/** How large a tree may be; one beyond is refused with INVALID_ARGUMENT. */
export interface InputTreeLimits {
  /** Files, directories and symlinks, counted at every place where they come. */
  readonly maxNodes: number;
  readonly maxDepth: number;
  /** Of one Directory message. */
  readonly maxDirectoryBytes: number;
}

export interface WalkedTree {
  readonly tree: InputTree;
  /** Directories that are not in the CAS: what is below them is not in `tree`. */
  readonly missing: readonly Digest[];
}

/**
 * Reads blobs: gives each to `take` as it comes, and returns those that are not in the CAS.
 * @param digests distinct, none of them empty
 */
export type ReadBlobs = (
  digests: readonly Digest[],
  take: (digest: Digest, bytes: Uint8Array) => void,
) => Promise<readonly Digest[]>;

/**
 * Walks an input tree level by level, reading all the directories of a level at once, and goes on past those that are
 * missing, so that a client learns of all of them at once.
 * @throws Refusal INVALID_ARGUMENT if a directory is malformed or a limit is passed
 */
export async function walkInputTree(
  root: Digest,
  cache: DirectoryCache,
  limits: InputTreeLimits,
  read: ReadBlobs,
): Promise<WalkedTree> {
  const directories = new Map<string, InputDirectory>();
  const missing = new Map<string, Digest>();
  let level = new Map([[digestKey(root), root]]);
  for (let depth = 0; level.size > 0; depth++) {
    if (depth > limits.maxDepth) throw tooDeep(limits);
    const unknown: Digest[] = [];
    for (const [key, digest] of level) {
      const known = digest.sizeBytes === 0 ? EMPTY_DIRECTORY : cache.get(digest);
      if (known !== undefined) directories.set(key, known);
      else if (digest.sizeBytes <= limits.maxDirectoryBytes) unknown.push(digest);
      else throw invalidArgument(`input directory ${key} is larger than ${limits.maxDirectoryBytes} bytes`);
    }
    const absent =
      unknown.length === 0
        ? []
        : await read(unknown, (digest, bytes) => {
            const directory = parseInputDirectory(digest, bytes);
            cache.add(digest, directory);
            directories.set(digestKey(digest), directory);
          });
    for (const digest of absent) missing.set(digestKey(digest), digest);
    const below = new Map<string, Digest>();
    for (const key of level.keys()) {
      for (const { digest } of directories.get(key)?.directories ?? []) {
        const childKey = digestKey(digest);
        if (!directories.has(childKey) && !missing.has(childKey)) below.set(childKey, digest);
      }
    }
    // Every directory counts at least once, so this bounds what is read before the tree as a whole can be measured.
    if (directories.size + below.size > limits.maxNodes) throw tooManyNodes(limits);
    level = below;
  }
  const nodes = checkExtent(root, directories, limits);
  const rootKey = digestKey(root);
  const tree = { root: directories.get(rootKey) ?? EMPTY_DIRECTORY, rootKey, directories, nodes };
  return { tree, missing: [...missing.values()] };
}

const EMPTY_DIRECTORY: InputDirectory = { files: [], directories: [], symlinks: [] };

/** Each file of the tree, once for each directory that has it. */
export function* inputFiles({ directories }: InputTree): Generator<InputFile, void, undefined> {
  for (const { files } of directories.values()) yield* files;
}

/** Each file of the tree at each of its places, with its path from the root. */
export function* placedFiles(tree: InputTree): Generator<readonly [string, InputFile], void, undefined> {
  const open: { readonly prefix: string; readonly directory: InputDirectory }[] = [
    { prefix: "", directory: tree.root },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { prefix, directory } = next;
    for (const file of directory.files) yield [prefix + file.name, file];
    for (const { name, digest } of directory.directories) {
      const below = tree.directories.get(digestKey(digest));
      if (below !== undefined) open.push({ prefix: `${prefix}${name}/`, directory: below });
    }
  }
}

/**
 * Refuses a tree that is too large or too deep when it is laid out: a few directories that each hold the next one twice
 * are millions on disk. There are no cycles: a directory's digest can't be known before those of its children.
 * @returns how many nodes each directory is
 */
function checkExtent(
  root: Digest,
  directories: ReadonlyMap<string, InputDirectory>,
  limits: InputTreeLimits,
): ReadonlyMap<string, number> {
  const extents = new Map<string, { readonly nodes: number; readonly height: number }>();
  const measure = (key: string, depth: number): { readonly nodes: number; readonly height: number } => {
    const known = extents.get(key);
    if (depth + (known?.height ?? 0) > limits.maxDepth) throw tooDeep(limits);
    if (known !== undefined) return known;
    const directory = directories.get(key) ?? EMPTY_DIRECTORY;
    let nodes = 1 + directory.files.length + directory.symlinks.length;
    let height = 0;
    for (const { digest } of directory.directories) {
      const child = measure(digestKey(digest), depth + 1);
      nodes += child.nodes;
      height = Math.max(height, child.height + 1);
    }
    if (nodes > limits.maxNodes) throw tooManyNodes(limits);
    const extent = { nodes, height };
    extents.set(key, extent);
    return extent;
  };
  measure(digestKey(root), 0);
  return new Map([...extents].map(([key, { nodes }]) => [key, nodes]));
}

function tooDeep({ maxDepth }: InputTreeLimits): Error {
  return invalidArgument(`the input tree is deeper than ${maxDepth} directories`);
}

function tooManyNodes({ maxNodes }: InputTreeLimits): Error {
  return invalidArgument(`the input tree has more than ${maxNodes} files, directories and symlinks`);
}
