import { posix, win32 } from "node:path";
import { digestKey } from "../../src/digest/digest.ts";
import type { InputDirectory } from "./input-directory.ts";
import type { InputTree } from "./input-tree.ts";

/** As many as Linux follows. */
const MAX_SYMLINKS = 40;

/**
 * What a symlink of the tree leads to. Windows has one kind of symlink for directories and one for all else, and must be told
 * when it is made; what it leads to may not be there yet, as it may be another symlink.
 * @param path of the symlink, from the root
 * @returns undefined for what Node.js has to look at: it is on the machine and not in the tree
 */
export function symlinkType(tree: InputTree, path: string, target: string): "dir" | "file" | undefined {
  if (win32.isAbsolute(target)) return undefined;
  return isDirectory(tree, posix.join(posix.dirname(path), target), MAX_SYMLINKS) ? "dir" : "file";
}

/** @param path from the root, normalised; one that leads out of the tree is taken for no directory */
function isDirectory(tree: InputTree, path: string, symlinksLeft: number): boolean {
  let directory: InputDirectory = tree.root;
  let walked = "";
  const segments = path.split("/").filter((segment) => segment !== "" && segment !== ".");
  for (const [index, segment] of segments.entries()) {
    const link = directory.symlinks.find(({ name }) => name === segment);
    if (link !== undefined) {
      if (symlinksLeft === 0 || posix.isAbsolute(link.target)) return false;
      const rest = segments.slice(index + 1).join("/");
      return isDirectory(tree, posix.join(walked, link.target, rest), symlinksLeft - 1);
    }
    const child = directory.directories.find(({ name }) => name === segment);
    const below = child && tree.directories.get(digestKey(child.digest));
    if (below === undefined) return false;
    directory = below;
    walked = posix.join(walked, segment);
  }
  return true;
}
