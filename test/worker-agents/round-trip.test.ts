import { rm } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { SHA256 } from "../../src/digest/digest-function.ts";
import { digestKey, digestToWire } from "../../src/digest/digest.ts";
import { DirectorySchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { DirectoryCache } from "../../worker-agents/inputs/directory-cache.ts";
import { FileCache } from "../../worker-agents/inputs/file-cache.ts";
import { inputFiles, walkInputTree } from "../../worker-agents/inputs/input-tree.ts";
import { materializeTree } from "../../worker-agents/inputs/materialize-tree.ts";
import { encodeDirectories } from "../../worker-agents/outputs/directory-tree.ts";
import { scanDirectory } from "../../worker-agents/outputs/scan-directory.ts";
import { WorkDirectory } from "../../worker-agents/work-directory.ts";
import { CasServer, sha256 } from "./cas-server.ts";
import { SILENT, temporaryDirectory } from "./running-agent.ts";

interface Tree {
  readonly [name: string]:
    string | { readonly program: string } | { readonly target: string } | { readonly tree: Tree };
}

const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter((text) => !/[/\0]/.test(text) && text !== "." && text !== ".." && text.isWellFormed());
const content = fc.oneof(fc.constant(""), fc.string(), fc.constant("x".repeat(200_000)));
const trees = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.dictionary(
    name,
    fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      content,
      fc.record({ program: content }),
      fc.record({ target: fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !text.includes("\0")) }),
      fc.record({ tree: tie("tree") }),
    ),
    { maxKeys: 5 },
  ),
})).tree;

/** Stores a tree as a client would that follows REAPI's canonical form. */
function store(cas: CasServer, tree: Tree): ReturnType<typeof sha256> {
  const byCodePoint = Object.entries(tree).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const put = (text: string): ReturnType<typeof digestToWire> => digestToWire(cas.put(text));
  return cas.putMessage(DirectorySchema, {
    files: byCodePoint.flatMap(([name, node]) => {
      if (typeof node === "string") return [{ name, digest: put(node), isExecutable: false }];
      return "program" in node ? [{ name, digest: put(node.program), isExecutable: true }] : [];
    }),
    directories: byCodePoint.flatMap(([name, node]) =>
      typeof node === "object" && "tree" in node ? [{ name, digest: digestToWire(store(cas, node.tree)) }] : [],
    ),
    symlinks: byCodePoint.flatMap(([name, node]) =>
      typeof node === "object" && "target" in node ? [{ name, target: node.target }] : [],
    ),
  });
}

it.each(["copy", "hard-link"] as const)(
  "a tree that is laid out by %s and collected has the same digest",
  async (placement) => {
    const work = await WorkDirectory.open(await temporaryDirectory(), SILENT);
    const cache = await FileCache.open({ work, maxBytes: 10_000_000, logger: SILENT });
    const { signal } = new AbortController();
    await fc.assert(
      fc.asyncProperty(trees, async (tree) => {
        const cas = new CasServer();
        const root = store(cas, tree);
        const { tree: walked } = await walkInputTree(
          root,
          new DirectoryCache(1_000),
          { maxNodes: 1_000, maxDepth: 100, maxDirectoryBytes: 1_000_000 },
          (digests, take) => {
            for (const digest of digests) take(digest, cas.get(digest));
            return Promise.resolve([]);
          },
        );
        const pins = cache.newPins();
        const fetch: Parameters<FileCache["pin"]>[2] = async (digests, take) => {
          for (const digest of digests) await take(digest, cas.get(digest));
          return [];
        };
        expect(await cache.pin(inputFiles(walked), pins, fetch, signal)).toEqual([]);
        const path = join(work.newAttempt(), "root");
        await materializeTree(walked, path, cache, placement, signal);
        const context = { digestFunction: SHA256, work, cache, pins, nodeProperties: [] };
        const { directory } = await scanDirectory(path, "", context, signal);
        const { directories } = encodeDirectories(directory, SHA256);
        expect(digestKey(directories[0].digest)).toBe(digestKey(root));
        pins.release();
        await rm(join(path, ".."), { recursive: true });
      }),
      { numRuns: 60 },
    );
  },
);
