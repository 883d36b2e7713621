import { chmod, lstat, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { digestKey } from "../../../src/digest/digest.ts";
import { DirectoryCache } from "../../../worker-agents/inputs/directory-cache.ts";
import { FileCache } from "../../../worker-agents/inputs/file-cache.ts";
import { inputFiles, walkInputTree, type InputTree } from "../../../worker-agents/inputs/input-tree.ts";
import { LaidOutDirectories } from "../../../worker-agents/inputs/laid-out-directories.ts";
import { materializeTree } from "../../../worker-agents/inputs/materialize-tree.ts";
import { DEFAULT_LIMITS } from "../../../worker-agents/limits.ts";
import { WorkDirectory } from "../../../worker-agents/work-directory.ts";
import { CasServer } from "../cas-server.ts";
import { putTree, symlinkTo, toolFile, type TreeSpec } from "../input-tree.ts";
import { lackingForSandbox } from "../lacking.ts";
import { shell } from "../leases.ts";
import { runAction } from "../run-action.ts";
import { SILENT, startAgent, temporaryDirectory } from "../running-agent.ts";

const never = new AbortController().signal;

/** A directory that is large enough to be kept. */
function many(prefix: string): TreeSpec {
  return Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`${prefix}/file-${i}`, `content ${i} of ${prefix}`]));
}

/** The agent's way with inputs, without the rest of it. */
class Setup {
  readonly laidOut: LaidOutDirectories;
  readonly #cas = new CasServer();
  readonly #work: WorkDirectory;
  readonly #files: FileCache;
  readonly #directories = new DirectoryCache(100_000);

  private constructor(work: WorkDirectory, files: FileCache, laidOut: LaidOutDirectories) {
    this.#work = work;
    this.#files = files;
    this.laidOut = laidOut;
  }

  static async start({ maxNodes = 10_000, maxBytes = 1e9 } = {}): Promise<Setup> {
    const work = await WorkDirectory.open(await temporaryDirectory(), SILENT);
    const laidOut = new LaidOutDirectories(work, maxNodes);
    const onRemove = (usedAt: number): void => {
      laidOut.forgetUsedUpTo(usedAt);
    };
    const files = await FileCache.open({ work, maxBytes, logger: SILENT, onRemove });
    return new Setup(work, files, laidOut);
  }

  /** Sets a tree up for an action, and says where it is and what to call when the action has ended. */
  async layOut(
    spec: TreeSpec,
  ): Promise<{ readonly root: string; readonly tree: InputTree; readonly end: () => Promise<void> }> {
    const { root: digest } = putTree(this.#cas, spec);
    const { tree } = await walkInputTree(digest, this.#directories, DEFAULT_LIMITS.inputTree, (digests, take) => {
      for (const each of digests) take(each, this.#cas.get(each));
      return Promise.resolve([]);
    });
    const pins = this.#files.newPins();
    const fetch: Parameters<FileCache["pin"]>[2] = async (digests, take) => {
      for (const each of digests) await take(each, this.#cas.get(each));
      return [];
    };
    await this.#files.pin(inputFiles(tree), pins, fetch, never);
    const root = join(this.#work.newAttempt(), "root");
    await materializeTree(tree, root, this.#files, "hard-link", never, { laidOut: this.laidOut });
    pins.release();
    return { root, tree, end: () => this.laidOut.keep(root, tree, pins.usedAt) };
  }
}

/** Which directory it is, whatever it is called. */
async function identity(path: string): Promise<string> {
  // A number alone may be given again to a directory that is made when this one has been removed.
  const { ino, birthtimeNs } = await lstat(path, { bigint: true });
  return `${ino} ${birthtimeNs}`;
}

async function listing(path: string): Promise<string[]> {
  return (await readdir(path, { recursive: true })).sort();
}

describe("an input directory that an action is done with", () => {
  const spec = {
    ...many("a"),
    ...many("b/deep"),
    "b/link": symlinkTo("tool"),
    "b/empty/": "",
    "b/tool": toolFile("x"),
    top: "1",
  };

  it("is the next action's, without what the first one made in it", async () => {
    const setup = await Setup.start();
    const first = await setup.layOut(spec);
    const before = await listing(first.root);
    const root = await identity(first.root);
    await writeFile(join(first.root, "a", "output"), "");
    await mkdir(join(first.root, "b", "empty", "made", "deep"), { recursive: true });
    await first.end();
    const second = await setup.layOut(spec);
    expect(await identity(second.root)).toBe(root);
    expect(await listing(second.root)).toEqual(before);
    // It is one action's at a time.
    const third = await setup.layOut(spec);
    expect(await identity(third.root)).not.toBe(root);
    expect(await listing(third.root)).toEqual(before);
  });

  it("may be part of another tree, and leaves the rest for others", async () => {
    const setup = await Setup.start();
    const first = await setup.layOut(spec);
    const [a, b] = [await identity(join(first.root, "a")), await identity(join(first.root, "b"))];
    await first.end();
    const withoutOne = Object.fromEntries(Object.entries(spec).filter(([path]) => path !== "b/deep/file-0"));
    const second = await setup.layOut(withoutOne);
    expect(await identity(join(second.root, "a"))).toBe(a);
    const third = await setup.layOut({
      ...many("b/deep"),
      "b/link": symlinkTo("tool"),
      "b/empty/": "",
      "b/tool": toolFile("x"),
    });
    expect(await identity(join(third.root, "b"))).toBe(b);
    expect(await listing(join(third.root, "b"))).toHaveLength(64);
  });

  it.each<[string, (root: string) => Promise<void>]>([
    [
      "was changed",
      async (root) => {
        await rm(join(root, "b/deep/file-3"));
        await writeFile(join(root, "b/deep/file-3"), "other");
      },
    ],
    ["is gone", (root) => rm(join(root, "b/deep/file-3"))],
    ["was made executable", (root) => chmod(join(root, "b/deep/file-3"), 0o555)],
    [
      "is a symlink elsewhere",
      async (root) => {
        await rm(join(root, "b/link"));
        await symlink("/", join(root, "b/link"));
      },
    ],
    [
      "is a directory now",
      async (root) => {
        await rm(join(root, "b/tool"));
        await mkdir(join(root, "b/tool"));
      },
    ],
    ["is in a directory with other rights", (root) => chmod(join(root, "b"), 0o700)],
  ])("is not used again where an input %s, but the rest is", async (_, change) => {
    const setup = await Setup.start();
    const first = await setup.layOut(spec);
    const before = await listing(first.root);
    const [a, b] = [await identity(join(first.root, "a")), await identity(join(first.root, "b"))];
    await change(first.root);
    await first.end();
    const second = await setup.layOut(spec);
    expect(await listing(second.root)).toEqual(before);
    expect(await identity(join(second.root, "b"))).not.toBe(b);
    // A changed cached file makes doubtful all that was used with it.
    if (_ !== "was made executable") expect(await identity(join(second.root, "a"))).toBe(a);
    expect((await lstat(join(second.root, "b/deep/file-3"))).mode & 0o777).toBe(0o444);
  });

  it("is there for an action that comes while it is being looked through", async () => {
    const setup = await Setup.start();
    const first = await setup.layOut(spec);
    const root = await identity(first.root);
    void first.end();
    expect(await identity((await setup.layOut(spec)).root)).toBe(root);
  });

  it("goes when there are too many, or the cache gives up its files", async () => {
    const few = await Setup.start({ maxNodes: 150 });
    const [x, y] = [await few.layOut(many("x")), await few.layOut(many("y"))];
    const [ofX, ofY] = [await identity(x.root), await identity(y.root)];
    await x.end();
    await y.end();
    const third = await few.layOut(many("z"));
    await third.end();
    expect(await identity((await few.layOut(many("x"))).root)).not.toBe(ofX);
    expect(await identity((await few.layOut(many("y"))).root)).toBe(ofY);

    const small = await Setup.start({ maxBytes: 1_000 });
    const first = await small.layOut(many("x"));
    const ofFirst = await identity(first.root);
    await first.end();
    await small.layOut(many("y"));
    expect(await identity((await small.layOut(many("x"))).root)).not.toBe(ofFirst);
  });

  it.skipIf(lackingForSandbox !== undefined)("is used by an agent whose actions leave nothing running", async () => {
    const script = "stat -c '%i %w' a; touch a/output; ls a | wc -l";
    const outputs = async (sandbox: "bwrap" | "none"): Promise<readonly string[][]> => {
      const agent = await startAgent({ sandbox, placement: "hard-link" });
      const ran = [1, 2].map(
        () => async () => (await runAction(agent, { inputs: many("a"), command: shell(script) })).stdout,
      );
      const lines: string[][] = [];
      for (const run of ran) lines.push((await run()).split("\n"));
      return lines;
    };
    const [first, second] = await outputs("bwrap");
    expect(second).toEqual(first);
    expect(second?.[1]?.trim()).toBe("61");
    const [third, fourth] = await outputs("none");
    expect(fourth?.[0]).not.toBe(third?.[0]);
  });
});

it("small directories are not looked at", async () => {
  const setup = await Setup.start();
  const { root, tree, end } = await setup.layOut({ "a/b": "1" });
  await end();
  expect(await listing(root)).toEqual(["a", "a/b"]);
  expect(await setup.laidOut.place(tree.rootKey, tree, `${root}-2`)).toBe(false);
  expect(digestKey(putTree(new CasServer(), { "a/b": "1" }).root)).toBe(tree.rootKey);
});
