import { open } from "node:fs/promises";
import { join, sep } from "node:path";
import { digestFunctionByName } from "../../src/digest/digest-function.ts";
import { digestKey, parseDigest, type Digest } from "../../src/digest/digest.ts";
import { mayBeExecutable } from "../operating-system.ts";
import { EXECUTABLE_MODE, INPUT_TIME, PLAIN_MODE } from "./file-placement.ts";

/** A file's content with its executable bit: since links share the mode, the cache holds one file for each. */
export interface CachedFile {
  readonly digest: Digest;
  readonly isExecutable: boolean;
}

/** Equal strings are equal files. */
export function cachedFileKey({ digest, isExecutable }: CachedFile): string {
  return isExecutable ? `${digestKey(digest)}x` : digestKey(digest);
}

/** The directory that holds the file: a few thousand entries in one slow no file system down. */
export function cachedFileDirectory(cache: string, { digest }: CachedFile): string {
  return join(cache, digest.digestFunction.name, digest.hash.slice(0, 2));
}

/** `{cache}/{function}/{two digits}/{hash}-{size}`, and an `x` for an executable one. */
export function cachedFilePath(cache: string, file: CachedFile): string {
  const { digest, isExecutable } = file;
  return join(cachedFileDirectory(cache, file), `${digest.hash}-${digest.sizeBytes}${isExecutable ? "x" : ""}`);
}

/** What the file at this path below the cache is; undefined if the cache would not have named it so. */
export function parseCachedFileName(relativePath: string): CachedFile | undefined {
  const [functionName = "", , name = ""] = relativePath.split(sep);
  const [, hash = "", size, executable] = /^([0-9a-f]+)-(\d{1,15})(x?)$/.exec(name) ?? [];
  const digestFunction = digestFunctionByName(functionName);
  if (hash.length !== digestFunction?.hexLength) return undefined;
  return { digest: parseDigest(digestFunction, hash, Number(size)), isExecutable: executable === "x" };
}

/** Whether the file is as it was put into the cache, by what `stat` says. What a command writes shows in the time. */
export function isIntact(
  { digest, isExecutable }: CachedFile,
  stats: { readonly size: number; readonly mtimeMs: number; readonly mode: number },
): boolean {
  return (
    stats.size === digest.sizeBytes &&
    stats.mtimeMs === INPUT_TIME.getTime() &&
    (stats.mode & 0o222) === 0 &&
    mayBeExecutable(stats.mode, isExecutable)
  );
}

/** Creates `path` with the content, and with the mode and time of a cached file. */
export async function writeCachedFile(
  path: string,
  content: Uint8Array | AsyncIterable<Uint8Array>,
  isExecutable: boolean,
): Promise<void> {
  const file = await open(path, "wx", isExecutable ? EXECUTABLE_MODE : PLAIN_MODE);
  try {
    if (content instanceof Uint8Array) await file.writeFile(content);
    else for await (const piece of content) await file.writeFile(piece);
    await file.utimes(INPUT_TIME, INPUT_TIME);
  } finally {
    await file.close();
  }
}
