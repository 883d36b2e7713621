import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { systemErrorCode } from "./system-error.ts";

/**
 * Makes a directory and those above it, unless it is there. `recursive` of node:fs, where a directory can't be made in one
 * that is there (as in /proc), tries for ever.
 */
export function makeDirectory(path: string): void {
  const absolute = resolve(path);
  try {
    mkdirSync(absolute);
  } catch (error) {
    const parent = dirname(absolute);
    if (statSync(absolute, { throwIfNoEntry: false })?.isDirectory() === true) return;
    const parentIsThere = statSync(parent, { throwIfNoEntry: false }) !== undefined;
    if (systemErrorCode(error) !== "ENOENT" || parentIsThere || parent === absolute) throw error;
    makeDirectory(parent);
    makeDirectory(absolute);
  }
}
