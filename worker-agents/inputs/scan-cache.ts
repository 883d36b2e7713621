import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { forEachConcurrently } from "../concurrency.ts";
import { cachedFilePath, isIntact, parseCachedFileName, type CachedFile } from "./cached-file.ts";

const FILES_AT_ONCE = 32;

/** The files that an earlier process left in the cache, least recently used first. What is not whole is removed. */
export async function scanCache(directory: string): Promise<CachedFile[]> {
  const found: { readonly file: CachedFile; readonly usedAtMs: number }[] = [];
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory());
  await forEachConcurrently(names, FILES_AT_ONCE, async ({ name, parentPath }) => {
    const path = join(parentPath, name);
    const file = parseCachedFileName(path.slice(directory.length + 1));
    const stats = await lstat(path);
    // After a power cut a file may have its name and not yet its content.
    if (file === undefined || cachedFilePath(directory, file) !== path || !isIntact(file, stats)) {
      await rm(path, { force: true });
      return;
    }
    // Linking a file into an action's directory changes its inode, so this is when it was last used.
    found.push({ file, usedAtMs: stats.ctimeMs });
  });
  return found.sort((a, b) => a.usedAtMs - b.usedAtMs).map(({ file }) => file);
}
