import { type Dirent, lstatSync, readdirSync } from "node:fs";
import { chmod, rmdir, unlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { forEachConcurrently } from "./concurrency.ts";
import { mayBeEmptied, mayPass, pathBytes, SEPARATOR_BYTES } from "./operating-system.ts";
import { systemErrorCode } from "./system-error.ts";

const ENTRIES_AT_ONCE = 16;

/** A killed process may still be on its way out, and create files in what is being removed, or have some open. */
const RETRY_DELAYS_MS = [50, 100, 200, 400, 800];

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
    await removeFile(bytes);
  }
}

/** What could not be removed in it has been tried as often as it may, and is not tried once more for each directory above. */
async function removeDirectory(path: Buffer): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    await empty(path);
    try {
      await ifThere(rmdir(path));
      return;
    } catch (error) {
      await waitOrThrow(error, attempt);
    }
  }
}

async function empty(path: Buffer): Promise<void> {
  try {
    await removeEntries(path);
  } catch (error) {
    if (!(await restoreMode(path, error))) throw error;
    await removeEntries(path);
  }
}

async function removeEntries(path: Buffer): Promise<void> {
  await forEachConcurrently(entriesOf(path), ENTRIES_AT_ONCE, async (entry) => {
    const child = Buffer.concat([path, SEPARATOR_BYTES, entry.name]);
    await (entry.isDirectory() ? removeDirectory(child) : removeFile(child));
  });
}

async function removeFile(path: Buffer): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await ifThere(unlink(path));
      return;
    } catch (error) {
      await waitOrThrow(error, attempt);
    }
  }
}

async function waitOrThrow(error: unknown, attempt: number): Promise<void> {
  const delayMs = RETRY_DELAYS_MS[attempt];
  if (delayMs === undefined || !mayPass(error)) throw error;
  await delay(delayMs);
}

/** Whether the directory's mode may have been the reason of the error, and is so no more. */
async function restoreMode(path: Buffer, error: unknown): Promise<boolean> {
  const code = systemErrorCode(error);
  if (code !== "EACCES" && code !== "EPERM") return false;
  if (mayBeEmptied(lstatSync(path).mode)) return false;
  await chmod(path, 0o700);
  return true;
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
