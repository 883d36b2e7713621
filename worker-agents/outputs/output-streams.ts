import { open } from "node:fs/promises";
import type { DigestFunction } from "../../src/digest/digest-function.ts";
import type { Upload } from "../blobs/upload-blobs.ts";
import { digestOf, digestOfFile } from "./digest-of.ts";

const IN_MEMORY_BYTES = 1024 * 1024;

/**
 * The blob of what a command wrote to one of its streams.
 * @param sizeBytes how much of the file that is: a stray process may still append to it
 */
export async function takeOutputStream(
  path: string,
  sizeBytes: number,
  digestFunction: DigestFunction,
): Promise<Upload> {
  if (sizeBytes > IN_MEMORY_BYTES) {
    return { digest: await digestOfFile(digestFunction, path, sizeBytes), source: { path } };
  }
  const bytes = new Uint8Array(sizeBytes);
  if (sizeBytes > 0) {
    const file = await open(path);
    try {
      await file.read(bytes, 0, sizeBytes, 0);
    } finally {
      await file.close();
    }
  }
  return { digest: digestOf(digestFunction, bytes), source: bytes };
}
