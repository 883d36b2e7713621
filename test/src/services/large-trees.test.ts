import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  DirectorySchema,
  TreeSchema,
  type Digest,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import {
  codeOf,
  collect,
  connectClients,
  digestOf,
  refusalOf,
  streamOf,
  writeRequests,
  type Clients,
} from "../clients.ts";

const instanceName = "main";
const MIDDLES = 100;
const LEAVES = 1000;

let worker: TestWorker;
let clients: Clients;
/** 100,000 directories, each of which is another. */
let leaves: Digest[];
let root: Digest;
beforeAll(async () => {
  worker = await startWorker();
  clients = connectClients(worker.url);
  leaves = await storeAll(
    Array.from({ length: MIDDLES * LEAVES }, (_, i) =>
      directory({ symlinks: [{ name: "number", target: String(i) }] }),
    ),
  );
  const middles = Array.from({ length: MIDDLES }, (_, i) =>
    directory({
      directories: leaves.slice(i * LEAVES, (i + 1) * LEAVES).map((digest, j) => ({ name: `${j}`, digest })),
    }),
  );
  const digests = await storeAll(middles);
  const top = directory({ directories: digests.map((digest, i) => ({ name: `${i}`, digest })) });
  await storeAll([top]);
  root = digestOf(top);
}, 120_000);
afterAll(() => worker.dispose());

function directory(init: Parameters<typeof create<typeof DirectorySchema>>[1]): Uint8Array {
  return toBinary(DirectorySchema, create(DirectorySchema, init));
}

/** Stores small blobs, thousands at once. */
async function storeAll(blobs: readonly Uint8Array[]): Promise<Digest[]> {
  const digests = blobs.map(digestOf);
  const batchBlobs = Math.floor(2_000_000 / (100 + (blobs[0]?.length ?? 0)));
  for (let start = 0; start < blobs.length; start += batchBlobs) {
    const requests = blobs
      .slice(start, start + batchBlobs)
      .map((data, i) => ({ data, digest: digests[start + i] ?? digestOf(data) }));
    const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
    expect(responses.every(({ status }) => (status?.code ?? 0) === 0)).toBe(true);
  }
  return digests;
}

async function storeLarge(bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes);
  const name = `main/uploads/${randomUUID()}/blobs/${digest.hash}/${digest.sizeBytes}`;
  await clients.byteStream.write(streamOf(writeRequests(name, bytes, { chunkBytes: 1 << 20 })));
  return digest;
}

test("100,000 directories come in pages, of which none is large, and from any page on", async () => {
  const pages: { directories: number; bytes: number; token: string }[] = [];
  for await (const page of clients.cas.getTree({ instanceName, rootDigest: root })) {
    const bytes = page.directories.reduce((sum, each) => sum + toBinary(DirectorySchema, each).length, 0);
    pages.push({ directories: page.directories.length, bytes, token: page.nextPageToken });
  }
  const count = (some: readonly { directories: number }[]) =>
    some.reduce((sum, { directories }) => sum + directories, 0);
  expect(count(pages)).toBe(1 + MIDDLES + MIDDLES * LEAVES);
  expect(Math.max(...pages.map(({ bytes }) => bytes))).toBeLessThanOrEqual(1 << 20);
  expect(pages.length).toBeGreaterThanOrEqual(100);

  const resumed: { directories: number }[] = [];
  const pageToken = pages[99]?.token ?? "";
  for await (const page of clients.cas.getTree({ instanceName, rootDigest: root, pageToken })) {
    resumed.push({ directories: page.directories.length });
  }
  expect(count(resumed)).toBe(count(pages.slice(100)));
}, 120_000);

test("a directory of 100,001 files is one like any other (bazel#16899)", async () => {
  const file = (digest: Digest, i: number) => ({ name: `file${String(i).padStart(6, "0")}`, digest });
  const files = [...leaves, root].map(file);
  expect(files.length).toBe(100_001);
  const flat = await storeLarge(directory({ files }));
  let found = 0;
  for await (const page of clients.cas.getTree({ instanceName, rootDigest: flat })) {
    for (const each of page.directories) found += each.files.length;
  }
  expect(found).toBe(100_001);

  const treeDigest = await storeLarge(toBinary(TreeSchema, create(TreeSchema, { root: { files } })));
  const actionDigest = digestOf(new TextEncoder().encode(randomUUID()));
  const actionResult = { outputDirectories: [{ path: "flat", treeDigest }] };
  await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult });
  const get = () => clients.actionCache.getActionResult({ instanceName, actionDigest });
  expect((await get()).outputDirectories[0]?.treeDigest).toEqual(treeDigest);
  const [gone] = leaves;
  for (let shard = 0; shard < 4; shard++) {
    await worker.shardSql(shard, "DELETE FROM blobs WHERE hash = unhex(?)", gone?.hash ?? "");
  }
  expect(await codeOf(get())).toBe("NotFound");
}, 120_000);

test("what is too large to be walked is refused by name, and not begun", async () => {
  const digest = (i: number) => ({ hash: i.toString(16).padStart(64, "0"), sizeBytes: 5n });
  const wide = (count: number) =>
    storeLarge(
      directory({ directories: Array.from({ length: count }, (_, i) => ({ name: `${i}`, digest: digest(i) })) }),
    );
  const getTree = (rootDigest: Digest) => collect(clients.cas.getTree({ instanceName, rootDigest }));
  const refusal = await refusalOf(getTree(await wide(120_000)));
  expect(Code[refusal.code]).toBe("ResourceExhausted");
  expect(refusal.rawMessage).toContain("more than the 120000 directories");
  const [page] = await getTree(await wide(119_999));
  expect(page?.directories.length).toBe(1);

  const large = { ...digest(1), sizeBytes: 12n << 20n };
  const parent = await storeLarge(directory({ directories: [{ name: "large", digest: large }] }));
  const refused = await refusalOf(getTree(parent));
  expect(Code[refused.code]).toBe("ResourceExhausted");
  expect(refused.rawMessage).toContain(large.hash);
}, 120_000);
