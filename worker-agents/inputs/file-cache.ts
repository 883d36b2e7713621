import { lstatSync } from "node:fs";
import { chmod, constants, copyFile, mkdir, rm, utimes } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import type { CacheUsageSchema } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { digestKey, type Digest } from "../../src/digest/digest.ts";
import type { TakeBlob } from "../blobs/fetch-blobs.ts";
import { forEachConcurrently } from "../concurrency.ts";
import { moveFile } from "../move-file.ts";
import { errorMessage } from "../system-error.ts";
import type { WorkDirectory } from "../work-directory.ts";
import { Announcements, waitForOthers, type Announcement } from "./announcements.ts";
import {
  cachedFileDirectory,
  cachedFileKey,
  cachedFilePath,
  isIntact,
  writeCachedFile,
  type CachedFile,
} from "./cached-file.ts";
import { EXECUTABLE_MODE, INPUT_TIME, PLAIN_MODE } from "./file-placement.ts";
import { Pins } from "./pins.ts";
import { scanCache } from "./scan-cache.ts";

const FILES_AT_ONCE = 32;

/** After so many the rest of the agent has its turn, some milliseconds later. */
const CHECKS_IN_A_TURN = 1_000;

interface Entry {
  readonly file: CachedFile;
  readonly path: string;
  pins: number;
  usedAt: number;
}

export interface FileCacheOptions {
  readonly work: WorkDirectory;
  /** The least recently used files go when there are more bytes than this, but none that an action in setup needs. */
  readonly maxBytes: number;
  readonly logger: Logger;
  /** A file goes that was last used by these pins, or was found to be changed. */
  readonly onRemove?: (usedAt: number) => void;
}

/** Fetches blobs, gives each to `take`, and returns those that are not in the CAS. */
export type FetchBlobs = (digests: readonly Digest[], take: TakeBlob) => Promise<readonly Digest[]>;

/**
 * Content-addressed files on disk, shared by all actions. A file is complete when it has its name: it is written beside
 * the cache, verified and renamed. What several actions want at once is fetched once.
 */
export class FileCache {
  readonly #options: FileCacheOptions;
  readonly #directory: string;
  /** By `cachedFileKey`, least recently used first. */
  readonly #entries = new Map<string, Entry>();
  /** Files that are being written or removed. */
  readonly #changing = new Announcements();
  readonly #directories = new Map<string, Promise<unknown>>();
  #totalBytes = 0;
  #pinsMade = 0;

  private constructor(options: FileCacheOptions) {
    this.#options = options;
    this.#directory = options.work.cache;
  }

  /** Opens the cache with what an earlier process left in it. */
  static async open(options: FileCacheOptions): Promise<FileCache> {
    const cache = new FileCache(options);
    for (const file of await scanCache(cache.#directory)) cache.#add(file);
    cache.#trim();
    options.logger.debug({ files: cache.#entries.size, bytes: cache.#totalBytes }, "opened the cache of input files");
    return cache;
  }

  /** What it holds, as the object is told. */
  get usage(): MessageInitShape<typeof CacheUsageSchema> {
    const { maxBytes } = this.#options;
    return { files: BigInt(this.#entries.size), bytes: BigInt(this.#totalBytes), maxBytes: BigInt(maxBytes) };
  }

  /** Pins to be released when what they hold has been used. */
  newPins(): Pins {
    return new Pins(++this.#pinsMade, () => {
      this.#trim();
    });
  }

  /** Where a pinned file is. */
  pathOf(file: CachedFile): string {
    return cachedFilePath(this.#directory, file);
  }

  /** Whether the file is here; an empty one always is. */
  has(file: CachedFile): boolean {
    return file.digest.sizeBytes === 0 || this.#entries.has(cachedFileKey(file));
  }

  /** Those of `files` that are not here, each digest once. */
  absent(files: Iterable<CachedFile>): Digest[] {
    const absent = new Map<string, Digest>();
    for (const file of files) {
      if (!this.has(file)) absent.set(digestKey(file.digest), file.digest);
    }
    return [...absent.values()];
  }

  /**
   * Makes all `files` present and pins them. Empty ones are not kept: they are there by definition.
   * @returns those that are neither here nor in the CAS
   */
  async pin(
    files: Iterable<CachedFile>,
    pins: Pins,
    fetch: FetchBlobs,
    signal: AbortSignal,
  ): Promise<readonly Digest[]> {
    const missing = new Map<string, Digest>();
    let wanted = new Map<string, CachedFile>();
    for (const file of files) if (file.digest.sizeBytes > 0) wanted.set(cachedFileKey(file), file);
    while (wanted.size > 0) {
      const again = new Map<string, CachedFile>();
      const others: Promise<void>[] = [];
      const present: Entry[] = [];
      const absent = new Map<string, CachedFile>();
      // In one go, with no await: what is absent is announced before anyone else can look for it.
      for (const [key, file] of wanted) {
        const changing = this.#changing.of(key);
        const entry = this.#entries.get(key);
        if (changing !== undefined) {
          others.push(changing);
          again.set(key, file);
        } else if (entry !== undefined) {
          this.#use(entry, pins);
          present.push(entry);
        } else {
          absent.set(key, file);
        }
      }
      const announcement = this.#changing.announce(absent.keys());
      try {
        for (const [index, entry] of present.entries()) {
          if (!this.#checkIntact(entry)) again.set(cachedFileKey(entry.file), entry.file);
          if (index % CHECKS_IN_A_TURN === CHECKS_IN_A_TURN - 1) await turn();
        }
        const notFound = await this.#obtain([...absent.values()], pins, fetch, announcement);
        for (const digest of notFound) missing.set(digestKey(digest), digest);
      } finally {
        announcement.doneAll();
      }
      await waitForOthers(others, signal);
      wanted = again;
    }
    return [...missing.values()];
  }

  /**
   * Takes a file in and pins it, unless it is here.
   * @param fill creates the file at a path, with this very content and with the mode and time of a cached file
   */
  async insert(file: CachedFile, pins: Pins, fill: (path: string) => Promise<void>): Promise<void> {
    const key = cachedFileKey(file);
    for (;;) {
      const changing = this.#changing.of(key);
      const entry = this.#entries.get(key);
      if (changing !== undefined) {
        await changing;
      } else if (entry !== undefined) {
        this.#use(entry, pins);
        if (this.#checkIntact(entry)) return;
      } else {
        break;
      }
    }
    const announcement = this.#changing.announce([key]);
    try {
      await this.#create(file, pins, fill);
    } finally {
      announcement.doneAll();
    }
  }

  /** Creates what is absent: from the other variant if that is here, else by fetching. */
  async #obtain(
    absent: readonly CachedFile[],
    pins: Pins,
    fetch: FetchBlobs,
    announcement: Announcement,
  ): Promise<readonly Digest[]> {
    const toFetch = new Map<string, CachedFile[]>();
    await forEachConcurrently(absent, FILES_AT_ONCE, async (file) => {
      const variant = this.#entries.get(cachedFileKey(variantOf(file)));
      if (variant !== undefined) {
        this.#use(variant, pins);
        if (this.#checkIntact(variant)) {
          await this.#createFromVariant(file, pins);
          announcement.done(cachedFileKey(file));
          return;
        }
      }
      const key = digestKey(file.digest);
      toFetch.set(key, [...(toFetch.get(key) ?? []), file]);
    });
    const digests = [...toFetch.values()].flatMap(([file]) => file?.digest ?? []);
    if (digests.length === 0) return [];
    return fetch(digests, async (digest, content) => {
      const [first, second] = toFetch.get(digestKey(digest)) ?? [];
      if (first === undefined) return;
      await this.#create(first, pins, (path) => writeCachedFile(path, content, first.isExecutable));
      announcement.done(cachedFileKey(first));
      if (second !== undefined) await this.#createFromVariant(second, pins);
    });
  }

  async #createFromVariant(file: CachedFile, pins: Pins): Promise<void> {
    const source = this.pathOf(variantOf(file));
    await this.#create(file, pins, async (path) => {
      await copyFile(source, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      await chmod(path, file.isExecutable ? EXECUTABLE_MODE : PLAIN_MODE);
      await utimes(path, INPUT_TIME, INPUT_TIME);
    });
  }

  async #create(file: CachedFile, pins: Pins, fill: (path: string) => Promise<void>): Promise<void> {
    const temporary = this.#options.work.newTemporaryFile();
    try {
      await this.#makeDirectory(cachedFileDirectory(this.#directory, file));
      await fill(temporary);
      await moveFile(temporary, this.pathOf(file));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    pins.add(this.#add(file));
    this.#trim();
  }

  /** Once a process: the directories stay. */
  async #makeDirectory(directory: string): Promise<void> {
    const made = this.#directories.get(directory) ?? mkdir(directory, { recursive: true });
    this.#directories.set(directory, made);
    try {
      await made;
    } catch (error) {
      this.#directories.delete(directory);
      throw error;
    }
  }

  #add(file: CachedFile): Entry {
    const entry = { file, path: this.pathOf(file), pins: 0, usedAt: 0 };
    this.#entries.set(cachedFileKey(file), entry);
    this.#totalBytes += file.digest.sizeBytes;
    return entry;
  }

  #use(entry: Entry, pins: Pins): void {
    const key = cachedFileKey(entry.file);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    pins.add(entry);
  }

  /**
   * Whether the file is still what it was. One that a command has changed, or somebody removed, is forgotten. The call is
   * synchronous, since it takes 5 µs, and 28 µs when it is not: for most of the files of a build it is half of the work.
   */
  #checkIntact(entry: Entry): boolean {
    const stats = lstatSync(entry.path, { throwIfNoEntry: false });
    if (stats !== undefined && isIntact(entry.file, stats)) return true;
    // Another action may have found out first, and even have put a new one in its place.
    if (this.#entries.get(cachedFileKey(entry.file)) === entry) {
      this.#options.logger.warn(
        { path: entry.path },
        "a cached input file was changed or removed: it is fetched again",
      );
      void this.#remove(entry);
    }
    return false;
  }

  /** Removes the least recently used files, up to so many bytes, but none that an action in setup needs. */
  async release(bytes: number): Promise<void> {
    const removals: Promise<void>[] = [];
    const wanted = this.#totalBytes - bytes;
    for (const entry of this.#entries.values()) {
      if (this.#totalBytes <= wanted) break;
      if (entry.pins === 0) removals.push(this.#remove(entry));
    }
    await Promise.all(removals);
  }

  /** Forgets the file at once, and removes it in the background. */
  #remove(entry: Entry): Promise<void> {
    const key = cachedFileKey(entry.file);
    this.#entries.delete(key);
    this.#totalBytes -= entry.file.digest.sizeBytes;
    this.#options.onRemove?.(entry.usedAt);
    const announcement = this.#changing.announce([key]);
    return rm(entry.path, { force: true })
      .catch((error: unknown) => {
        this.#options.logger.warn({ path: entry.path, error: errorMessage(error) }, "cannot remove a cached file");
      })
      .finally(() => {
        announcement.doneAll();
      });
  }

  #trim(): void {
    if (this.#totalBytes <= this.#options.maxBytes) return;
    for (const entry of this.#entries.values()) {
      if (entry.pins > 0) continue;
      void this.#remove(entry);
      if (this.#totalBytes <= this.#options.maxBytes) return;
    }
  }
}

/** The same content with the other executable bit. */
function variantOf(file: CachedFile): CachedFile {
  return { ...file, isExecutable: !file.isExecutable };
}
