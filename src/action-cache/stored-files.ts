import { chunk } from "../batching/chunk.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import type { Digest } from "../digest/digest.ts";
import { tryTakeMemory } from "../memory/isolate-memory.ts";
import type { Release } from "../memory/memory-budget.ts";

/** How many files are looked for at once, which is what a shard looks for in one statement. */
const MAX_FILES = 10_000;

/** What a digest takes until it is answered: itself, and its text in what the shards are asked and the answer. */
const FILE_BYTES = 400;

/** Memory is taken for so many at a time; the first so many count for nothing. */
const STEP_FILES = 1000;

/**
 * Whether very many files are stored, which are told little by little. They are looked for in as few rounds as can be: as
 * long as there is room they wait for each other, and where there is none, those that wait are looked for at once. So it
 * never waits for memory.
 */
export class StoredFiles {
  readonly #findMissing: BlobStore["findMissing"];
  #releases: Release[] = [];
  #waiting: Digest[] = [];
  /** How many may wait with the memory that is taken. */
  #room = STEP_FILES;
  #closed = false;

  constructor(findMissing: BlobStore["findMissing"]) {
    this.#findMissing = findMissing;
  }

  /** False if some file is known to be missing, or nobody wants to know any more. */
  async add(digests: readonly Digest[]): Promise<boolean> {
    for (const step of chunk(digests, STEP_FILES)) {
      if (this.#closed) return false;
      if (!this.#makeRoom(this.#waiting.length + step.length) && !(await this.areAllStored())) return false;
      this.#waiting.push(...step);
    }
    return true;
  }

  /** Whether those that wait are stored. */
  async areAllStored(): Promise<boolean> {
    const digests = this.#waiting;
    const releases = this.#releases;
    this.#waiting = [];
    this.#releases = [];
    this.#room = STEP_FILES;
    try {
      return digests.length === 0 || (await this.#findMissing(digests)).length === 0;
    } finally {
      for (const release of releases) release();
    }
  }

  /** Gives back the memory that is held; nothing more is looked for. */
  close(): void {
    this.#closed = true;
    for (const release of this.#releases.splice(0)) release();
  }

  #makeRoom(files: number): boolean {
    if (files > MAX_FILES) return false;
    while (this.#room < files) {
      const release = tryTakeMemory(STEP_FILES * FILE_BYTES);
      if (release === undefined) return false;
      this.#releases.push(release);
      this.#room += STEP_FILES;
    }
    return true;
  }
}
