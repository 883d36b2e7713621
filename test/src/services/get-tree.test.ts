import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  DirectorySchema,
  type Digest,
  type Directory,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { codeOf, collect, connectClients, digestOf, PROTOCOLS, refusalOf, type Clients } from "../clients.ts";

const instanceName = "main";

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startWorker();
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

const bytesOf = (directory: Directory) => toBinary(DirectorySchema, directory);

async function store(directories: Iterable<Directory>): Promise<void> {
  const all = [...directories].map(bytesOf);
  for (let i = 0; i < all.length; i += 1000) {
    const requests = all.slice(i, i + 1000).map((data) => ({ data, digest: digestOf(data) }));
    await clients.cas.batchUpdateBlobs({ instanceName, requests });
  }
}

function directory(children: readonly Directory[], mark = ""): Directory {
  return create(DirectorySchema, {
    directories: children.map((child, i) => ({ name: `d${i}`, digest: digestOf(bytesOf(child)) })),
    symlinks: mark === "" ? [] : [{ name: mark, target: "x" }],
  });
}

const keys = (directories: readonly Directory[]) => directories.map((d) => digestOf(bytesOf(d)).hash);

async function pages(rootDigest: Digest, { pageSize = 0, pageToken = "" } = {}) {
  return collect(clients.cas.getTree({ instanceName, rootDigest, pageSize, pageToken }));
}

test.each(PROTOCOLS)("a tree comes with its root first and a shared subtree once ($name)", async ({ connect }) => {
  const { cas } = connectClients(worker.url, connect(worker.url));
  const leaf = directory([], "leaf");
  const middle = directory([leaf], "middle");
  const root = directory([middle, leaf, middle], "root");
  await store([root, middle, leaf]);
  const messages = await collect(cas.getTree({ instanceName, rootDigest: digestOf(bytesOf(root)) }));
  expect(messages.map(({ nextPageToken }) => nextPageToken)).toEqual([""]);
  expect(messages.flatMap(({ directories }) => directories)).toEqual([root, middle, leaf]);
});

describe("refusals", () => {
  test("a root that is not stored is not found, and named as missing", async () => {
    const rootDigest = digestOf(randomBytes(10));
    const refusal = await refusalOf(pages(rootDigest));
    expect(await codeOf(Promise.reject(refusal))).toBe("NotFound");
    expect(refusal.rawMessage).toContain(rootDigest.hash);
  });

  test("a root that is no Directory, a bad digest, a token of another tree", async () => {
    const data = Buffer.from("not a Directory");
    await clients.cas.batchUpdateBlobs({ instanceName, requests: [{ data, digest: digestOf(data) }] });
    expect(await codeOf(pages(digestOf(data)))).toBe("InvalidArgument");
    expect(await codeOf(collect(clients.cas.getTree({ instanceName })))).toBe("InvalidArgument");
    const root = directory([], "token");
    await store([root]);
    for (const pageToken of ["x", "-1", `${"0".repeat(64)}-1`, `${digestOf(bytesOf(root)).hash}-1e9`]) {
      expect(await codeOf(pages(digestOf(bytesOf(root)), { pageToken }))).toBe("InvalidArgument");
    }
  });
});

test("the empty directory is a tree, stored or not", async () => {
  const rootDigest = digestOf(new Uint8Array(0));
  expect((await pages(rootDigest)).flatMap(({ directories }) => directories)).toEqual([create(DirectorySchema)]);
});

test("what is missing below the root is left out", async () => {
  const there = directory([], "there");
  const gone = directory([], "gone");
  const root = directory([gone, there], "with a gap");
  await store([root, there]);
  const messages = await pages(digestOf(bytesOf(root)));
  expect(messages.flatMap(({ directories }) => directories)).toEqual([root, there]);
});

test("any tree comes whole, each directory once and behind one that names it, on pages that can be taken up anywhere", async () => {
  // Layers: each directory names any of those of the layer below, so that subtrees are shared.
  const layer = fc.array(fc.array(fc.nat(5), { maxLength: 4 }), { minLength: 1, maxLength: 6 });
  const shape = fc.record({
    layers: fc.array(layer, { minLength: 1, maxLength: 4 }),
    pageSize: fc.integer({ min: 1, max: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ layers, pageSize }) => {
      const byHash = new Map<string, Directory>();
      let below: Directory[] = [];
      for (const [depth, directories] of layers.entries()) {
        below = directories.map((picks, i) => {
          const made = directory(
            picks.flatMap((pick) => below[pick % Math.max(below.length, 1)] ?? []),
            `${depth}.${i % 3}`,
          );
          byHash.set(digestOf(bytesOf(made)).hash, made);
          return made;
        });
      }
      const root = directory(below, "root");
      byHash.set(digestOf(bytesOf(root)).hash, root);
      await store(byHash.values());
      const rootDigest = digestOf(bytesOf(root));

      const reachable = new Set<string>();
      const visit = (hash: string) => {
        if (reachable.has(hash)) return;
        reachable.add(hash);
        for (const { digest } of byHash.get(hash)?.directories ?? []) visit(digest?.hash ?? "");
      };
      visit(rootDigest.hash);

      const all = await pages(rootDigest, { pageSize });
      const got = keys(all.flatMap(({ directories }) => directories));
      expect(got[0]).toBe(rootDigest.hash);
      expect(got.toSorted()).toEqual([...reachable].sort());
      const named = new Set([rootDigest.hash]);
      for (const hash of got) {
        expect(named.has(hash)).toBe(true);
        for (const { digest } of byHash.get(hash)?.directories ?? []) named.add(digest?.hash ?? "");
      }
      all.forEach(({ directories, nextPageToken }, i) => {
        expect(directories.length).toBeLessThanOrEqual(pageSize);
        expect(nextPageToken === "").toBe(i === all.length - 1);
      });
      for (const [i, { nextPageToken }] of all.entries()) {
        if (nextPageToken === "") continue;
        const rest = await pages(rootDigest, { pageSize, pageToken: nextPageToken });
        expect(rest).toEqual(all.slice(i + 1));
      }
    }),
    { numRuns: 25 },
  );
});

test("3,000 directories come on several pages, none of them large", async () => {
  const leaves = Array.from({ length: 2900 }, (_, i) =>
    directory([], `leaf ${i} ${"x".repeat(i === 7 ? 200_000 : 1)}`),
  );
  const middles = Array.from({ length: 99 }, (_, i) => directory(leaves.slice(i * 30, i * 30 + 30), `middle ${i}`));
  const root = directory(middles, "large");
  await store([...leaves, ...middles, root]);
  const messages = await pages(digestOf(bytesOf(root)));
  expect(messages.length).toBeGreaterThanOrEqual(3);
  expect(new Set(keys(messages.flatMap(({ directories }) => directories))).size).toBe(3000);
});
