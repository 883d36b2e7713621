import { readdirSync, rmdirSync } from "node:fs";
import { chmod, unlink } from "node:fs/promises";
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import { forEachConcurrently } from "./concurrency.ts";
import { pathBytes, SEPARATOR_BYTES } from "./operating-system.ts";
import { systemErrorCode } from "./system-error.ts";

const ENTRIES_AT_ONCE = 16;

/** After so many the rest of the process has its turn. */
const DIRECTORIES_IN_A_TURN = 100;

/** A killed process may still be on its way out, and create files in what is being removed. */
const ATTEMPTS = 5;
const RETRY_DELAY_MS = 50;

/**
 * Removes a file, or a directory with all that is in it; what is not there is removed already. Unlike `rm` of
 * node:fs it can remove names that are not UTF-8 and directories that a command took its permissions from, and it asks
 * the file system half as often.
 *
 * Directories are removed synchronously, which costs a fraction of the CPU. Files are not: one that is large takes a while.
 */
export async function removeTree(path: string | Buffer): Promise<void> {
  const bytes = typeof path === "string" ? pathBytes(path) : path;
  try {
    await removeDirectory(bytes, { directories: 0 });
  } catch (error) {
    if (systemErrorCode(error) !== "ENOTDIR") throw error;
    await unlinkIfThere(bytes);
  }
}

/** @param done how many directories of the tree have been begun with */
async function removeDirectory(path: Buffer, done: { directories: number }): Promise<void> {
  if (++done.directories % DIRECTORIES_IN_A_TURN === 0) await turn();
  for (let attempt = 1; ; attempt++) {
    try {
      await empty(path, done);
      ifThere(() => {
        rmdirSync(path);
      });
      return;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      const code = systemErrorCode(error);
      if (code === "EACCES" || code === "EPERM") await chmod(path, 0o700);
      else if (code === "ENOTEMPTY" || code === "EBUSY" || code === "EEXIST") await delay(RETRY_DELAY_MS);
      else throw error;
    }
  }
}

async function empty(path: Buffer, done: { directories: number }): Promise<void> {
  const entries = ifThere(() => readdirSync(path, { withFileTypes: true, encoding: "buffer" })) ?? [];
  await forEachConcurrently(entries, ENTRIES_AT_ONCE, async (entry) => {
    const child = Buffer.concat([path, SEPARATOR_BYTES, entry.name]);
    await (entry.isDirectory() ? removeDirectory(child, done) : unlinkIfThere(child));
  });
}

async function unlinkIfThere(path: Buffer): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
}

function ifThere<Result>(call: () => Result): Result | undefined {
  try {
    return call();
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
