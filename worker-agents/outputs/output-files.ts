import { chmod, constants, copyFile, readFile, rm, utimes } from "node:fs/promises";
import type { Upload } from "../blobs/upload-blobs.ts";
import type { DigestFunction } from "../../src/digest/digest-function.ts";
import { writeCachedFile } from "../inputs/cached-file.ts";
import type { FileCache } from "../inputs/file-cache.ts";
import { EXECUTABLE_MODE, INPUT_TIME, PLAIN_MODE } from "../inputs/file-placement.ts";
import type { Pins } from "../inputs/pins.ts";
import { moveFile } from "../move-file.ts";
import { isExecutable } from "../operating-system.ts";
import type { WorkDirectory } from "../work-directory.ts";
import { digestOf, digestOfFile } from "./digest-of.ts";

/** Up to this size a file is read whole. */
const IN_MEMORY_BYTES = 128 * 1024;

export interface OutputFileContext {
  readonly digestFunction: DigestFunction;
  readonly work: WorkDirectory;
  readonly cache: FileCache;
  /** Released when the uploads are done. */
  readonly pins: Pins;
  /** Of Command.output_node_properties: what is to be told of each output. */
  readonly nodeProperties: readonly string[];
}

/**
 * Takes an output file into the cache, where the next action finds it as an input. It is copied first and its digest is
 * the copy's, so that a process that still writes to it can't make digest and upload differ.
 * @param stats its `lstat`
 */
export async function takeOutputFile(
  path: string,
  stats: { readonly size: number; readonly mode: number },
  { digestFunction, work, cache, pins }: OutputFileContext,
): Promise<Upload & { readonly isExecutable: boolean }> {
  const executable = isExecutable(stats.mode);
  if (stats.size <= IN_MEMORY_BYTES) {
    const bytes = await readFile(path);
    const file = { digest: digestOf(digestFunction, bytes), isExecutable: executable };
    if (bytes.length === 0) return { ...file, source: bytes };
    await cache.insert(file, pins, (destination) => writeCachedFile(destination, bytes, executable));
    return { ...file, source: { path: cache.pathOf(file) } };
  }
  const copy = work.newTemporaryFile();
  try {
    await copyFile(path, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const file = { digest: await digestOfFile(digestFunction, copy), isExecutable: executable };
    await cache.insert(file, pins, async (destination) => {
      await chmod(copy, executable ? EXECUTABLE_MODE : PLAIN_MODE);
      await utimes(copy, INPUT_TIME, INPUT_TIME);
      await moveFile(copy, destination);
    });
    return { ...file, source: { path: cache.pathOf(file) } };
  } finally {
    await rm(copy, { force: true });
  }
}
