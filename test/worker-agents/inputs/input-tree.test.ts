import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DirectorySchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { digestKey, digestToWire, type Digest } from "../../../src/digest/digest.ts";
import { DirectoryCache } from "../../../worker-agents/inputs/directory-cache.ts";
import { inputFiles, walkInputTree, type ReadBlobs } from "../../../worker-agents/inputs/input-tree.ts";
import { CasServer, sha256 } from "../cas-server.ts";
import { putTree } from "../input-tree.ts";

const LIMITS = { maxNodes: 1_000, maxDepth: 20, maxDirectoryBytes: 10_000 };

/** Reads from a CAS, and counts the rounds. */
function reader(cas: CasServer): { readonly read: ReadBlobs; readonly rounds: string[][] } {
  const rounds: string[][] = [];
  const read: ReadBlobs = (digests, take) => {
    rounds.push(digests.map(({ hash }) => hash));
    const missing: Digest[] = [];
    for (const digest of digests) {
      const bytes = cas.blobs.get(`${digest.hash}/${digest.sizeBytes}`);
      if (bytes === undefined) missing.push(digest);
      else take(digest, bytes);
    }
    return Promise.resolve(missing);
  };
  return { read, rounds };
}

/** A chain of directories, each of which holds the next one under all of these names. */
function chain(cas: CasServer, length: number, names: readonly string[]): Digest {
  let digest = cas.put(
    toBinary(DirectorySchema, create(DirectorySchema, { symlinks: [{ name: "end", target: "x" }] })),
  );
  for (let i = 0; i < length; i++) {
    const child = digestToWire(digest);
    digest = cas.putMessage(DirectorySchema, { directories: names.map((name) => ({ name, digest: child })) });
  }
  return digest;
}

describe("walking an input tree", () => {
  it("reads each level at once, and each directory once", async () => {
    const cas = new CasServer();
    const { root } = putTree(cas, { "a/x/f": "1", "b/x/f": "1", "c/y/g": "2", "c/y/h": "3" });
    const { read, rounds } = reader(cas);
    const { tree, missing } = await walkInputTree(root, new DirectoryCache(1_000), LIMITS, read);
    expect(rounds.map((round) => round.length)).toEqual([1, 2, 2]);
    expect(missing).toEqual([]);
    expect(tree.root.directories.map(({ name }) => name)).toEqual(["a", "b", "c"]);
    expect([...inputFiles(tree)].map(({ name }) => name).sort()).toEqual(["f", "g", "h"]);
  });

  it("reads nothing that the cache has, and the empty directory never", async () => {
    const cas = new CasServer();
    const { root } = putTree(cas, { "a/f": "1", "empty/": "" });
    const { read, rounds } = reader(cas);
    const cache = new DirectoryCache(1_000);
    const first = await walkInputTree(root, cache, LIMITS, read);
    const second = await walkInputTree(root, cache, LIMITS, read);
    expect(second).toEqual(first);
    expect(rounds.flat()).toHaveLength(2);
    expect((await walkInputTree(sha256(""), cache, LIMITS, read)).tree.root.files).toEqual([]);
    expect(rounds.flat()).toHaveLength(2);
  });

  it("goes on past what is missing", async () => {
    const cas = new CasServer();
    const { root, digests } = putTree(cas, { "gone/f": "1", "here/deep/g": "2", "here/lost/h": "3" });
    const lost = ["gone/", "here/lost/"].map((path) => digests.get(path));
    for (const digest of lost) cas.remove(digest);
    const { tree, missing } = await walkInputTree(root, new DirectoryCache(1_000), LIMITS, reader(cas).read);
    expect(missing.map(digestKey).sort()).toEqual(lost.map((digest) => digest && digestKey(digest)).sort());
    expect([...inputFiles(tree)].map(({ name }) => name)).toEqual(["g"]);
  });

  it("refuses a tree that is deeper than the limit, however it is put together", async () => {
    const cas = new CasServer();
    const walk = (root: Digest): Promise<unknown> =>
      walkInputTree(root, new DirectoryCache(1_000), LIMITS, reader(cas).read);
    await expect(walk(chain(cas, 20, ["d"]))).resolves.toBeDefined();
    await expect(walk(chain(cas, 21, ["d"]))).rejects.toThrow("deeper than 20");
    // Every directory is a child of the root, too, so that no walk by levels has to go deep to find it.
    const links = Array.from({ length: 30 }, (_, i) => ({ name: `d${i}`, digest: digestToWire(chain(cas, i, ["d"])) }));
    await expect(walk(cas.putMessage(DirectorySchema, { directories: links }))).rejects.toThrow("deeper than 20");
  });

  it("refuses a tree that is small to read and huge to lay out", async () => {
    const cas = new CasServer();
    const root = chain(cas, 15, ["a", "b"]);
    const { read, rounds } = reader(cas);
    await expect(walkInputTree(root, new DirectoryCache(1_000), LIMITS, read)).rejects.toThrow("more than 1000 files");
    expect(rounds.flat()).toHaveLength(16);
  });

  it("refuses too large a Directory without reading it", async () => {
    const cas = new CasServer();
    const { read, rounds } = reader(cas);
    const digest = cas.put("x".repeat(10_001));
    await expect(walkInputTree(digest, new DirectoryCache(1), LIMITS, read)).rejects.toThrow("larger than 10000");
    expect(rounds).toEqual([]);
  });
});

describe("the cache of input directories", () => {
  it("forgets the least recently used beyond its size", () => {
    const cache = new DirectoryCache(6);
    const directory = { files: [], directories: [], symlinks: [{ name: "a", target: "b" }] };
    const digests = ["1", "2", "3", "4"].map((text) => sha256(text));
    const [one, two, three, four] = digests;
    for (const digest of [one, two, three]) if (digest !== undefined) cache.add(digest, directory);
    if (one === undefined || four === undefined) throw new Error("there are four");
    expect(cache.get(one)).toBe(directory);
    cache.add(four, directory);
    expect(digests.map((digest) => cache.get(digest) !== undefined)).toEqual([true, false, true, true]);
  });
});
