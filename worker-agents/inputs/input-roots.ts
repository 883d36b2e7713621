import { digestKey, type Digest } from "../../src/digest/digest.ts";
import type { DirectoryCache } from "./directory-cache.ts";
import type { FileCache } from "./file-cache.ts";
import type { InputDirectory } from "./input-directory.ts";

/** What Hello.cached_input_roots may hold. */
const MAX_ROOTS = 256;

/** The input roots that this machine has lately laid out: the object prefers it for actions with the same ones. */
export class InputRoots {
  readonly #directories: DirectoryCache;
  readonly #files: FileCache;
  /** By `digestKey`, least recently used first. */
  readonly #roots = new Map<string, Digest>();

  constructor(directories: DirectoryCache, files: FileCache) {
    this.#directories = directories;
    this.#files = files;
  }

  /** An action's inputs are all here. */
  use(root: Digest): void {
    // The empty root is on every machine.
    if (root.sizeBytes === 0) return;
    const key = digestKey(root);
    this.#roots.delete(key);
    this.#roots.set(key, root);
    for (const oldest of this.#roots.keys()) {
      if (this.#roots.size <= MAX_ROOTS) break;
      this.#roots.delete(oldest);
    }
  }

  /**
   * Those whose whole tree is still in the caches, most recently used first. Each directory is looked at once however
   * many roots share it, so this takes no longer than a walk through what DirectoryCache may hold.
   */
  whole(): Digest[] {
    const looked = new Map<string, boolean>();
    const isWhole = (digest: Digest): boolean => {
      if (digest.sizeBytes === 0) return true;
      const key = digestKey(digest);
      let whole = looked.get(key);
      if (whole === undefined) {
        const directory = this.#directories.peek(digest);
        whole =
          directory !== undefined &&
          this.#hasFiles(directory) &&
          directory.directories.every((child) => isWhole(child.digest));
        looked.set(key, whole);
      }
      return whole;
    };
    return [...this.#roots.values()].filter(isWhole).reverse();
  }

  #hasFiles({ files }: InputDirectory): boolean {
    return files.every((file) => this.#files.has(file));
  }
}
