import { digestKey, type Digest } from "../../src/digest/digest.ts";
import type { InputDirectory } from "./input-directory.ts";

/**
 * Keeps parsed input directories in memory, since the actions of a build share most of theirs: the least recently used
 * go when there are more than `maxEntries` files, directories and symlinks in them all.
 */
export class DirectoryCache {
  readonly #maxEntries: number;
  readonly #directories = new Map<string, InputDirectory>();
  #entries = 0;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get(digest: Digest): InputDirectory | undefined {
    const key = digestKey(digest);
    const directory = this.#directories.get(key);
    if (directory !== undefined) {
      this.#directories.delete(key);
      this.#directories.set(key, directory);
    }
    return directory;
  }

  /** As `get`, but it is not a use. */
  peek(digest: Digest): InputDirectory | undefined {
    return this.#directories.get(digestKey(digest));
  }

  add(digest: Digest, directory: InputDirectory): void {
    const key = digestKey(digest);
    if (this.#directories.has(key)) return;
    this.#directories.set(key, directory);
    this.#entries += weight(directory);
    for (const [oldest, least] of this.#directories) {
      if (this.#entries <= this.#maxEntries) break;
      this.#directories.delete(oldest);
      this.#entries -= weight(least);
    }
  }
}

/** The directory itself counts as one. */
function weight({ files, directories, symlinks }: InputDirectory): number {
  return 1 + files.length + directories.length + symlinks.length;
}
