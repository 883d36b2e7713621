import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { digestKey } from "../../src/digest/digest.ts";
import type { InputTree } from "../inputs/input-tree.ts";
import { mayBeSameName } from "../operating-system.ts";
import type { DeclaredOutput } from "./declared-outputs.ts";
import { makeDirectoryInside } from "./inside-root.ts";

/**
 * Makes the directories that a command may rely on: its working directory, and those that lead to its outputs (REAPI
 * promises them even where the input tree does not have them).
 * @throws Refusal INVALID_ARGUMENT if the input tree has something else in the way, or leads out of the root
 */
export async function prepareOutputDirectories(
  realRoot: string,
  tree: InputTree,
  workingDirectory: string,
  outputs: readonly DeclaredOutput[],
): Promise<void> {
  const wanted = new Set([workingDirectory, ...outputs.map(({ pathFromRoot }) => parentOf(pathFromRoot))]);
  for (const path of wanted) {
    switch (stateInTree(tree, path)) {
      case "there":
        break;
      case "free":
        await mkdir(join(realRoot, path), { recursive: true });
        break;
      case "obstructed":
        await makeDirectoryInside(realRoot, path);
    }
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/**
 * What the input tree says of a directory, so that most need no look at the disk: `obstructed` is, perhaps, by a file, or by
 * a symlink, which may have other names than the tree's on disk (where case is folded, or Windows makes up short ones).
 */
function stateInTree(tree: InputTree, path: string): "there" | "free" | "obstructed" {
  let directory = tree.root;
  if (path === "") return "there";
  for (const segment of path.split("/")) {
    const child = directory.directories.find(({ name }) => name === segment);
    if (child === undefined) {
      const { directories, files, symlinks } = directory;
      const isObstructed =
        symlinks.length > 0 || [...directories, ...files].some(({ name }) => mayBeSameName(name, segment));
      return isObstructed ? "obstructed" : "free";
    }
    directory = tree.directories.get(digestKey(child.digest)) ?? directory;
  }
  return "there";
}
