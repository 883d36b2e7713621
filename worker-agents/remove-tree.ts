import { type Dirent, readdirSync } from "node:fs";
import { chmod, rmdir, unlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { forEachConcurrently } from "./concurrency.ts";
import { pathBytes, SEPARATOR_BYTES } from "./operating-system.ts";
import { systemErrorCode } from "./system-error.ts";

const ENTRIES_AT_ONCE = 16;

/** A killed process may still be on its way out, and create files in what is being removed. */
const ATTEMPTS = 5;
const RETRY_DELAY_MS = 50;

/**
 * Removes a file, or a directory with all that is in it; what is not there is removed already. Unlike `rm` of
 * node:fs it can remove names that are not UTF-8 and directories that a command took its permissions from, and it asks
 * the file system half as often.
 *
 * Directories are read synchronously, which costs less than to hand that to a thread. Nothing is removed so: while others
 * write to the disk, removing an empty directory was seen to take milliseconds.
 */
export async function removeTree(path: string | Buffer): Promise<void> {
  const bytes = typeof path === "string" ? pathBytes(path) : path;
  try {
    await removeDirectory(bytes);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOTDIR") throw error;
    await ifThere(unlink(bytes));
  }
}

async function removeDirectory(path: Buffer): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await empty(path);
      await ifThere(rmdir(path));
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

async function empty(path: Buffer): Promise<void> {
  await forEachConcurrently(entriesOf(path), ENTRIES_AT_ONCE, async (entry) => {
    const child = Buffer.concat([path, SEPARATOR_BYTES, entry.name]);
    await (entry.isDirectory() ? removeDirectory(child) : ifThere(unlink(child)));
  });
}

function entriesOf(path: Buffer): readonly Dirent<Buffer>[] {
  try {
    return readdirSync(path, { withFileTypes: true, encoding: "buffer" });
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}

async function ifThere(call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
}
