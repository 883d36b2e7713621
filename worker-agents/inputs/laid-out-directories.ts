import { lstatSync, readdirSync, readlinkSync, type Dirent } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { digestKey } from "../../src/digest/digest.ts";
import { pathBytes, SEPARATOR_BYTES } from "../operating-system.ts";
import { removeTree } from "../remove-tree.ts";
import type { WorkDirectory } from "../work-directory.ts";
import { isIntact } from "./cached-file.ts";
import type { InputDirectory } from "./input-directory.ts";
import type { InputTree } from "./input-tree.ts";

/** Directories with fewer files, directories and symlinks in them are made anew as quickly. */
const MIN_NODES = 50;

/** After so many the rest of the agent has its turn, about a millisecond later. */
const CHECKS_IN_A_TURN = 250;

/** An input root that an action is done with, as it is on disk. */
interface Remains {
  readonly path: string;
  /** When its files were last used, as Pins count it. */
  readonly usedAt: number;
  nodes: number;
  /** What of it can still be taken, the outermost directories only. */
  readonly kept: Set<Kept>;
}

/** A directory that is on disk with all that is below it, as the tree has it and nothing else. */
interface Kept {
  readonly key: string;
  readonly path: string;
  /** The directories in it that could be taken by themselves. */
  readonly inner: readonly Kept[];
}

/**
 * Input directories that actions are done with, for the next ones that have the same: instead of linking thousands of files
 * into place once more, and removing them afterwards, a directory is renamed. Each is used by one action at a time.
 *
 * That is safe only where no process of an action outlives it: it would go on writing to what is another's by then. And
 * the files in it are links to those of the cache: who takes a directory has checked them there.
 */
export class LaidOutDirectories {
  readonly #work: WorkDirectory;
  readonly #maxNodes: number;
  /** The least recently used first. */
  readonly #remains = new Set<Remains>();
  readonly #byKey = new Map<string, Map<Kept, Remains>>();
  /** Roots that are being looked through, by the keys of their directories. */
  readonly #underWay = new Map<string, Promise<void>>();
  #nodes = 0;
  #forgottenUpTo = -1;

  /** @param maxNodes how many files, directories and symlinks are kept in all */
  constructor(work: WorkDirectory, maxNodes: number) {
    this.#work = work;
    this.#maxNodes = maxNodes;
  }

  /** Moves a directory of the tree, by its `digestKey`, to `destination`, where nothing is yet; false if there is none. */
  async place(key: string, tree: InputTree, destination: string): Promise<boolean> {
    if ((tree.nodes.get(key) ?? 0) < MIN_NODES) return false;
    // It takes less time than doing without.
    await this.#underWay.get(key);
    const [found] = this.#byKey.get(key) ?? [];
    if (found === undefined) return false;
    const [kept, remains] = found;
    this.#take(kept, remains);
    try {
      await rename(kept.path, destination);
      return true;
    } catch {
      // Whatever it was, what can't be moved can be made.
      return false;
    } finally {
      this.#discardIfEmpty(remains);
    }
  }

  /**
   * Takes over the input root of an action that has ended: what the action made in it is removed, and what is then as the
   * tree has it is kept. Never rejects.
   * @param usedAt of the pins that held its files
   */
  async keep(root: string, tree: InputTree, usedAt: number): Promise<void> {
    const keys = [...tree.nodes].flatMap(([key, nodes]) => (nodes >= MIN_NODES ? [key] : []));
    if (keys.length === 0) return;
    const remains: Remains = {
      path: this.#work.newAttempt(),
      usedAt,
      nodes: tree.nodes.get(tree.rootKey) ?? 0,
      kept: new Set(),
    };
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const done = promise.then();
    for (const key of keys) this.#underWay.set(key, done);
    try {
      await rename(root, remains.path);
      const examination = new Examination(tree);
      const { kept } = await examination.examine(remains.path, tree.rootKey);
      // Meanwhile the cache may have given up files of it.
      if (usedAt > this.#forgottenUpTo) this.#add(remains, kept);
    } catch {
      // An action may have made its directories unreadable: then they are of no use.
    } finally {
      for (const key of keys) if (this.#underWay.get(key) === done) this.#underWay.delete(key);
      resolve(undefined);
      this.#discardIfEmpty(remains);
      this.#trim();
    }
  }

  /** Removes what has files that were last used by then, as the cache does. */
  forgetUsedUpTo(usedAt: number): void {
    this.#forgottenUpTo = Math.max(this.#forgottenUpTo, usedAt);
    for (const remains of [...this.#remains]) if (remains.usedAt <= usedAt) this.#forget(remains);
  }

  #add(remains: Remains, kept: readonly Kept[]): void {
    this.#remains.add(remains);
    this.#nodes += remains.nodes;
    for (const each of kept) {
      remains.kept.add(each);
      this.#index(each, remains);
    }
  }

  #index(kept: Kept, remains: Remains): void {
    const others = this.#byKey.get(kept.key) ?? new Map<Kept, Remains>();
    this.#byKey.set(kept.key, others.set(kept, remains));
    for (const each of kept.inner) this.#index(each, remains);
  }

  #unindex(kept: Kept): void {
    const others = this.#byKey.get(kept.key);
    others?.delete(kept);
    if (others?.size === 0) this.#byKey.delete(kept.key);
    for (const each of kept.inner) this.#unindex(each);
  }

  /** Takes a directory out. Those around it are whole no more, but what else is in them is. */
  #take(wanted: Kept, remains: Remains): void {
    const takeFrom = (kept: Kept): void => {
      remains.kept.delete(kept);
      this.#unindex(kept);
      if (kept === wanted) return;
      for (const each of kept.inner) {
        remains.kept.add(each);
        this.#index(each, remains);
        if (contains(each, wanted)) takeFrom(each);
      }
    };
    for (const kept of [...remains.kept]) if (contains(kept, wanted)) takeFrom(kept);
  }

  #forget(remains: Remains): void {
    for (const kept of remains.kept) this.#unindex(kept);
    remains.kept.clear();
    this.#discardIfEmpty(remains);
  }

  #discardIfEmpty(remains: Remains): void {
    if (remains.kept.size > 0) return;
    if (this.#remains.delete(remains)) this.#nodes -= remains.nodes;
    this.#work.discard(remains.path);
  }

  #trim(): void {
    for (const oldest of this.#remains) {
      if (this.#nodes <= this.#maxNodes) return;
      this.#forget(oldest);
    }
  }
}

function contains(kept: Kept, wanted: Kept): boolean {
  return kept === wanted || kept.inner.some((each) => contains(each, wanted));
}

/** Looks through an input root after its action. */
class Examination {
  readonly #tree: InputTree;
  #checks = 0;
  #mode: number | undefined;

  constructor(tree: InputTree) {
    this.#tree = tree;
  }

  /** What of the directory can be kept, and whether that is all of it. */
  async examine(path: string, key: string): Promise<{ readonly isWhole: boolean; readonly kept: readonly Kept[] }> {
    const directory = this.#tree.directories.get(key) ?? NOTHING;
    const expected = new Map(nodesOf(directory));
    // As they are when they are made, unless the action has changed that.
    this.#mode ??= lstatSync(path).mode;
    let isWhole = lstatSync(path).mode === this.#mode;
    const kept: Kept[] = [];
    for (const entry of readdirSync(path, { withFileTypes: true, encoding: "buffer" })) {
      if (++this.#checks % CHECKS_IN_A_TURN === 0) await turn();
      const name = entry.name.toString();
      const node = expected.get(name);
      expected.delete(name);
      if (node === undefined) {
        await removeTree(Buffer.concat([pathBytes(path), SEPARATOR_BYTES, entry.name]));
      } else if (typeof node === "string" && entry.isDirectory()) {
        const below = await this.examine(join(path, name), node);
        isWhole &&= below.isWhole;
        kept.push(...below.kept);
      } else {
        isWhole &&= typeof node !== "string" && node(join(path, name), entry);
      }
    }
    isWhole &&= expected.size === 0;
    const isWorthKeeping = isWhole && (this.#tree.nodes.get(key) ?? 0) >= MIN_NODES;
    return { isWhole, kept: isWorthKeeping ? [{ key, path, inner: kept }] : kept };
  }
}

const NOTHING: InputDirectory = { files: [], directories: [], symlinks: [] };

/** The key of a directory, or whether what is at a path is still the file or symlink that was put there. */
type ExpectedNode = string | ((path: string, entry: Dirent<Buffer>) => boolean);

function* nodesOf({ files, directories, symlinks }: InputDirectory): Generator<readonly [string, ExpectedNode]> {
  for (const file of files) yield [file.name, (path, entry) => entry.isFile() && isIntact(file, lstatSync(path))];
  for (const { name, digest } of directories) yield [name, digestKey(digest)];
  for (const { name, target } of symlinks) {
    yield [name, (path, entry) => entry.isSymbolicLink() && readlinkSync(path) === target];
  }
}
