import { linkSync } from "node:fs";
import { constants, copyFile, open, rm, stat, utimes, writeFile } from "node:fs/promises";
import { systemErrorCode } from "../system-error.ts";

/**
 * The modification time of every input file: with the time at which an agent happened to fetch a file, tools that
 * compare or record times (make, archivers) would not do the same everywhere. Not before 1980, which zip can't express.
 */
export const INPUT_TIME = new Date("2000-01-01T00:00:00Z");

/** The modes of input files. Nobody may write them. */
export const PLAIN_MODE = 0o444;
export const EXECUTABLE_MODE = 0o555;

/** How files of the cache come into an action's directory. */
export type PlacementMode = "hard-link" | "copy";

/**
 * Links the cached file `source` to `destination`, where nothing is yet. Returns false if it can't be linked. The call is
 * synchronous, since it takes 9 µs, and 14 µs when it is not: with trees of thousands of files that is most of the work.
 */
export function linkFile(source: string, destination: string): boolean {
  try {
    linkSync(source, destination);
    return true;
  } catch (error) {
    if (NO_MORE_LINKS.has(systemErrorCode(error) ?? "")) return false;
    throw error;
  }
}

/** Copies the cached file `source` to `destination`, where nothing is yet. */
export async function copyFileInto(source: string, destination: string): Promise<void> {
  await copyFile(source, destination, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  await utimes(destination, INPUT_TIME, INPUT_TIME);
}

/** Too many links to one file, another file system, or one without hard links. */
const NO_MORE_LINKS = new Set(["EMLINK", "EXDEV", "EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** Creates an empty input file. */
export async function placeEmptyFile(isExecutable: boolean, destination: string): Promise<void> {
  await writeFile(destination, "", { flag: "wx", mode: isExecutable ? EXECUTABLE_MODE : PLAIN_MODE });
  await utimes(destination, INPUT_TIME, INPUT_TIME);
}

/**
 * Hard links where a file's mode keeps commands from writing through them into the cache, else copies: root writes what
 * it likes. So it must still have its mode when one of its links has been removed: to remove a read-only file, Node.js makes
 * it writable on older Windows, and where the disk is no NTFS.
 * @param probe a path at which to try it
 */
export async function safePlacementMode(probe: string): Promise<PlacementMode> {
  await writeFile(probe, "", { flag: "wx", mode: PLAIN_MODE });
  try {
    return !(await canBeWritten(probe)) && (await keepsMode(probe)) ? "hard-link" : "copy";
  } finally {
    await rm(probe, { force: true });
  }
}

async function canBeWritten(path: string): Promise<boolean> {
  try {
    const file = await open(path, "r+");
    await file.close();
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EACCES" || code === "EPERM") return false;
    throw error;
  }
}

/** Without hard links, nothing takes it away. */
async function keepsMode(path: string): Promise<boolean> {
  const second = `${path}-link`;
  if (!linkFile(path, second)) return true;
  await rm(second);
  return ((await stat(path)).mode & 0o222) === 0;
}
