import { lstat, mkdir, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { invalidArgument } from "../refusal.ts";
import { systemErrorCode } from "../system-error.ts";

/**
 * Where the directory at `pathFromRoot` really is, symlinks followed; undefined if there is none.
 * @param realRoot the input root, itself without symlinks
 * @throws Refusal INVALID_ARGUMENT if it is outside of the root: neither is an agent's file to be read for a client, nor
 *   one of the machine's to be written
 */
export async function realDirectory(realRoot: string, pathFromRoot: string): Promise<string | undefined> {
  if (pathFromRoot === "") return realRoot;
  let real: string;
  try {
    real = await realpath(join(realRoot, pathFromRoot));
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
    throw error;
  }
  if (real === realRoot || real.startsWith(realRoot + sep)) return real;
  throw invalidArgument(`${pathFromRoot} leads out of the input root, through a symlink`);
}

/**
 * Makes a directory of the input root, with those above it.
 * @throws Refusal INVALID_ARGUMENT if a symlink on the way leads out of the root, or something else is in the way
 */
export async function makeDirectoryInside(realRoot: string, pathFromRoot: string): Promise<void> {
  let path = "";
  for (const segment of pathFromRoot.split("/")) {
    const parent = await realDirectory(realRoot, path);
    path = path === "" ? segment : `${path}/${segment}`;
    if (parent === undefined) throw invalidArgument(`${path} can't be made: something else is in the way`);
    await mkdir(join(parent, segment)).catch(async (error: unknown) => {
      if (systemErrorCode(error) !== "EEXIST") throw error;
      const stats = await lstat(join(parent, segment));
      if (!stats.isDirectory() && !stats.isSymbolicLink()) {
        throw invalidArgument(`${path} must be a directory for the outputs, but the input tree has a file there`);
      }
    });
  }
  if ((await realDirectory(realRoot, path)) === undefined) {
    throw invalidArgument(
      `${path} must be a directory for the outputs, but the input tree has a dangling symlink there`,
    );
  }
}
