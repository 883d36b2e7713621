import { lstatSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { isIntact } from "../inputs/cached-file.ts";
import type { InputFile } from "../inputs/input-directory.ts";
import { pathBytes, SEPARATOR_BYTES } from "../operating-system.ts";
import { removeTree } from "../remove-tree.ts";

/** What of a worker's root is its own and stays, by its path from the root. */
export interface WorkerOwn {
  readonly tools: ReadonlyMap<string, InputFile>;
  /** The worker's working directory, empty for the root itself: a process is in it. */
  readonly workingDirectory: string;
}

/**
 * Takes from a worker's root what an earlier request left: its inputs, its outputs, whatever it made.
 * @returns what is still there: the worker's own files, and the directories that lead to them
 */
export async function clearWorkerRoot(root: string, own: WorkerOwn): Promise<ReadonlySet<string>> {
  const directories = new Set([own.workingDirectory, ...[...own.tools.keys()].map(parentOf)].flatMap(withParents));
  const kept = new Set<string>();
  const clear = async (directory: Buffer, prefix: string): Promise<void> => {
    for (const entry of await readdir(directory, { withFileTypes: true, encoding: "buffer" })) {
      const place = Buffer.concat([directory, SEPARATOR_BYTES, entry.name]);
      const path = prefix + entry.name.toString();
      const tool = own.tools.get(path);
      if (entry.isDirectory() && directories.has(path)) {
        kept.add(path);
        await clear(place, `${path}/`);
      } else if (entry.isFile() && tool !== undefined && isIntact(tool, lstatSync(place))) {
        kept.add(path);
      } else {
        await removeTree(place);
      }
    }
  };
  await clear(pathBytes(root), "");
  return kept;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** `a/b/c`, `a/b` and `a`. */
function withParents(path: string): string[] {
  return path === "" ? [] : [path, ...withParents(parentOf(path))];
}
