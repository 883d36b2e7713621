import { mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { digestKey } from "../../src/digest/digest.ts";
import { forEachConcurrently } from "../concurrency.ts";
import { SYMLINKS_HAVE_TYPES } from "../operating-system.ts";
import { invalidArgument } from "../refusal.ts";
import { errorMessage, systemErrorCode } from "../system-error.ts";
import type { FileCache } from "./file-cache.ts";
import { copyFileInto, linkFile, placeEmptyFile, type PlacementMode } from "./file-placement.ts";
import type { InputDirectory, InputFile, InputSymlink } from "./input-directory.ts";
import type { LaidOutDirectories } from "./laid-out-directories.ts";
import type { InputTree } from "./input-tree.ts";
import { symlinkType } from "./symlink-type.ts";

export interface MaterializeOptions {
  /** What is there already, by its path from the root with `/` between the segments. */
  readonly present?: ReadonlySet<string>;
  /** Where whole directories may be had. */
  readonly laidOut?: LaidOutDirectories | undefined;
}

const CALLS_AT_ONCE = 32;

/** After so many the rest of the agent has its turn, a few milliseconds later. */
const LINKS_IN_A_TURN = 250;

/** Something at one of the places where the tree has it, by its path from the root, `/` between the segments. */
interface Placed<Node> {
  readonly path: string;
  readonly node: Node;
}

/**
 * Lays an input tree out on disk.
 * @param root where it shall be, with its parent; neither is there yet
 * @param cache has all files of the tree, pinned
 * @throws Refusal INVALID_ARGUMENT if this machine's file system can't hold the tree's names
 */
export async function materializeTree(
  tree: InputTree,
  root: string,
  cache: FileCache,
  mode: PlacementMode,
  signal: AbortSignal,
  { present = new Set(), laidOut }: MaterializeOptions = {},
): Promise<void> {
  await mkdir(dirname(root), { recursive: true });
  if (laidOut !== undefined && (await laidOut.place(tree.rootKey, tree, root))) return;
  await mkdir(root, { recursive: true });
  const files: Placed<InputFile>[] = [];
  const symlinks: Placed<InputSymlink>[] = [];
  const absent = <Node>(nodes: Placed<Node>[]): Placed<Node>[] =>
    present.size === 0 ? nodes : nodes.filter(({ path }) => !present.has(path));
  let level: Placed<InputDirectory>[] = [{ path: "", node: tree.root }];
  while (level.length > 0) {
    signal.throwIfAborted();
    const below: Placed<InputDirectory>[] = [];
    const toMake: Placed<InputDirectory>[] = [];
    for (const { path, node } of level) {
      const prefix = path === "" ? "" : `${path}/`;
      for (const file of node.files) files.push({ path: prefix + file.name, node: file });
      for (const link of node.symlinks) symlinks.push({ path: prefix + link.name, node: link });
      for (const { name, digest } of node.directories) {
        const directory = tree.directories.get(digestKey(digest));
        if (directory === undefined) continue;
        const child = { path: prefix + name, node: directory };
        if (present.has(child.path)) below.push(child);
        else if (laidOut === undefined || !(await laidOut.place(digestKey(digest), tree, join(root, child.path))))
          toMake.push(child);
      }
    }
    await placeAll(root, toMake, signal, (destination) => mkdir(destination));
    level = [...below, ...toMake];
  }
  await placeAll(root, symlinks, signal, (destination, { target }, path) =>
    makeSymlink(tree, path, target, destination),
  );
  const unlinked = mode === "copy" ? absent(files) : await linkAll(root, absent(files), cache, signal);
  await placeAll(root, unlinked, signal, (destination, file) =>
    file.digest.sizeBytes === 0
      ? placeEmptyFile(file.isExecutable, destination)
      : copyFileInto(cache.pathOf(file), destination),
  );
}

async function makeSymlink(tree: InputTree, path: string, target: string, destination: string): Promise<void> {
  try {
    await symlink(target, destination, SYMLINKS_HAVE_TYPES ? symlinkType(tree, path, target) : undefined);
  } catch (error) {
    if (systemErrorCode(error) !== "EPERM") throw error;
    throw new Error(`input ${path} is a symlink, and this user or file system has none (${errorMessage(error)})`, {
      cause: error,
    });
  }
}

/** Links files into place, and returns those that can't be linked. */
async function linkAll(
  root: string,
  files: readonly Placed<InputFile>[],
  cache: FileCache,
  signal: AbortSignal,
): Promise<Placed<InputFile>[]> {
  const unlinked: Placed<InputFile>[] = [];
  for (const [index, file] of files.entries()) {
    const { path, node } = file;
    const isLinked =
      node.digest.sizeBytes > 0 && explaining(path, () => linkFile(cache.pathOf(node), `${root}/${path}`));
    if (!isLinked) unlinked.push(file);
    if (index % LINKS_IN_A_TURN === LINKS_IN_A_TURN - 1) {
      await turn();
      signal.throwIfAborted();
    }
  }
  return unlinked;
}

async function placeAll<Node>(
  root: string,
  nodes: readonly Placed<Node>[],
  signal: AbortSignal,
  create: (destination: string, node: Node, path: string) => Promise<void>,
): Promise<void> {
  await forEachConcurrently(nodes, CALLS_AT_ONCE, async ({ path, node }) => {
    signal.throwIfAborted();
    try {
      await create(join(root, path), node, path);
    } catch (error) {
      throw explained(path, error);
    }
  });
}

function explaining<Result>(path: string, create: () => Result): Result {
  try {
    return create();
  } catch (error) {
    throw explained(path, error);
  }
}

/** What a failure to create an input says of the tree, or else the failure itself. */
function explained(path: string, error: unknown): unknown {
  switch (systemErrorCode(error)) {
    case "EEXIST":
      // Nothing was there before: what stands in the way of a name is another name of the tree.
      return invalidArgument(`input ${path}: this machine takes that for the name of another input`);
    case "ENAMETOOLONG":
      return invalidArgument(`input ${path}: the path is too long for this machine`);
    default:
      return error;
  }
}
