import { randomBytes } from "node:crypto";
import { toBinary, create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  DirectorySchema,
  TreeSchema,
  type ActionResultSchema,
  type Digest,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { codeOf, connectClients, digestOf, PROTOCOLS, refusalOf, type Clients } from "../clients.ts";

type ResultInit = MessageInitShape<typeof ActionResultSchema>;

const instanceName = "main";
const config = `{
  stores: { MAIN_STORE: {}, OTHER_STORE: {} },
  schedulers: { MAIN_SCHEDULER: {} },
  services: { execution: [
    { instance_name: "main", scheduler: "MAIN_SCHEDULER", cas_store: "MAIN_STORE" },
    { instance_name: "sharing/the/store", scheduler: "MAIN_SCHEDULER", cas_store: "MAIN_STORE" },
    { instance_name: "apart", scheduler: "MAIN_SCHEDULER", cas_store: "OTHER_STORE" },
  ] },
}`;

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  // One test stores a result that is bad on purpose, which is logged.
  worker = await startWorker({ config, onLog: () => undefined });
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

const newAction = () => digestOf(randomBytes(40));

async function store(...blobs: Uint8Array[]): Promise<Digest[]> {
  const requests = blobs.map((data) => ({ data, digest: digestOf(data) }));
  const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
  expect(responses.every(({ status }) => status?.code === 0)).toBe(true);
  return blobs.map(digestOf);
}

/** A blob's digest; the blob is stored nowhere. */
const absent = () => digestOf(randomBytes(30));

/** Whether a client gets the result, which must be the same for one that wants its contents too. */
async function isServed(actionResult: ResultInit): Promise<boolean> {
  const actionDigest = newAction();
  await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult });
  const serves = async (
    request: Parameters<typeof clients.actionCache.getActionResult>[0],
    headers: Record<string, string> = {},
  ) => {
    const got = clients.actionCache.getActionResult(request, { headers });
    return got.then(
      () => true,
      async () => {
        expect(await codeOf(got)).toBe("NotFound");
        return false;
      },
    );
  };
  const bare = { instanceName, actionDigest };
  const served = await serves(bare);
  expect(await serves({ ...bare, inlineStdout: true, inlineStderr: true })).toBe(served);
  expect(await serves(bare, { "remex-inline-outputs-up-to-bytes": "100000" })).toBe(served);
  return served;
}

describe.each(PROTOCOLS)("$name", ({ connect }) => {
  test("a result is not found, is stored, and is served", async () => {
    const { actionCache } = connectClients(worker.url, connect(worker.url));
    const actionDigest = newAction();
    const missing = await refusalOf(actionCache.getActionResult({ instanceName, actionDigest }));
    expect(missing.rawMessage).toBe(`no result of action sha256/${actionDigest.hash}/40 is cached`);
    expect(await codeOf(Promise.reject(missing))).toBe("NotFound");

    const [file, stdout] = await store(randomBytes(100), randomBytes(50));
    const actionResult: ResultInit = {
      exitCode: 0,
      outputFiles: [{ path: "out/a.o", digest: file, isExecutable: true }],
      outputSymlinks: [{ path: "link", target: "../b" }],
      stdoutDigest: stdout,
      stderrRaw: new Uint8Array([104, 105]),
      executionMetadata: { worker: "a machine" },
    };
    const stored = await actionCache.updateActionResult({ instanceName, actionDigest, actionResult });
    const served = await actionCache.getActionResult({ instanceName, actionDigest });
    expect(served).toEqual(stored);
    expect(served).toMatchObject(actionResult);
  });

  test("what is malformed is refused", async () => {
    const { actionCache } = connectClients(worker.url, connect(worker.url));
    const put = (actionResult: ResultInit) =>
      refusalOf(actionCache.updateActionResult({ instanceName, actionDigest: newAction(), actionResult }));
    expect((await put({ outputFiles: [{ path: "a" }] })).rawMessage).toBe(
      "action_result.output_files[0].digest is not set",
    );
    const bad = { hash: "nothing", sizeBytes: 1n };
    expect(await codeOf(actionCache.getActionResult({ instanceName, actionDigest: bad }))).toBe("InvalidArgument");
    expect(await codeOf(actionCache.getActionResult({ instanceName }))).toBe("InvalidArgument");
    expect(await codeOf(actionCache.getActionResult({ instanceName: "x" }))).toBe("InvalidArgument");
    const noResult = actionCache.updateActionResult({ instanceName, actionDigest: newAction() });
    expect((await refusalOf(noResult)).rawMessage).toBe("action_result is not set");
  });
});

test("a later result takes the place of an earlier one", async () => {
  const actionDigest = newAction();
  for (const exitCode of [0, 7]) {
    await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult: { exitCode } });
    expect((await clients.actionCache.getActionResult({ instanceName, actionDigest })).exitCode).toBe(exitCode);
  }
});

test("instances share blobs by their store, and results never", async () => {
  const [stdoutDigest = absent()] = await store(randomBytes(20));
  const blobDigests = [stdoutDigest];
  const actionDigest = newAction();
  await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult: { stdoutDigest } });
  const shared = await clients.cas.findMissingBlobs({ instanceName: "sharing/the/store", blobDigests });
  expect(shared.missingBlobDigests).toEqual([]);
  expect((await clients.cas.findMissingBlobs({ instanceName: "apart", blobDigests })).missingBlobDigests).toEqual(
    blobDigests,
  );
  for (const other of ["sharing/the/store", "apart"]) {
    expect(await codeOf(clients.actionCache.getActionResult({ instanceName: other, actionDigest }))).toBe("NotFound");
  }
});

test("a result too large to be kept is refused, saying what would help (bazel#6373)", async () => {
  const actionResult = { stdoutRaw: randomBytes(2_000_000) };
  const refusal = await refusalOf(
    clients.actionCache.updateActionResult({ instanceName, actionDigest: newAction(), actionResult }),
  );
  expect(await codeOf(Promise.reject(refusal))).toBe("ResourceExhausted");
  expect(refusal.rawMessage).toContain("leave out inlined contents");
});

describe("a result is served only while all that it names is stored (bazel-remote#870)", () => {
  test("files, stdout and stderr", async () => {
    const [digest, large] = await store(randomBytes(10), randomBytes(50_000));
    expect(await isServed({ outputFiles: [{ path: "a", digest }], stdoutDigest: digest, stderrDigest: large })).toBe(
      true,
    );
    const file = (digest: Digest) => ({ path: digest.hash, digest });
    expect(await isServed({ outputFiles: [file(digest ?? absent()), file(absent())] })).toBe(false);
    expect(await isServed({ stdoutDigest: digest, stderrDigest: absent() })).toBe(false);
    expect(await isServed({ stdoutDigest: absent() })).toBe(false);
  });

  test("the empty blob, which nobody stores (bazel#11063)", async () => {
    const empty = digestOf(new Uint8Array(0));
    expect(await isServed({ stdoutDigest: empty, outputFiles: [{ path: "a", digest: empty }] })).toBe(true);
  });

  /** A Tree: a file in its root, and one in each of its children. */
  const tree = (files: readonly Digest[]) => {
    const [root, ...children] = files.map((digest) => create(DirectorySchema, { files: [{ name: "f", digest }] }));
    return toBinary(TreeSchema, create(TreeSchema, { ...(root && { root }), children }));
  };
  const withTree = (treeDigest: Digest | undefined) => ({ outputDirectories: [{ path: "d", treeDigest }] });

  test("a Tree and the files of its root and children, however large it is", async () => {
    const files = await store(...Array.from({ length: 300 }, () => randomBytes(8)));
    expect(tree(files).length).toBeGreaterThan(16 << 10);
    const [small, large] = await store(tree(files.slice(0, 3)), tree(files));
    expect(await isServed(withTree(small))).toBe(true);
    expect(await isServed(withTree(large))).toBe(true);
    expect(await isServed(withTree(digestOf(tree([absent()]))))).toBe(false);
    const [lackingRoot, lackingChild] = await store(tree([absent(), ...files]), tree([...files, absent()]));
    expect(await isServed(withTree(lackingRoot))).toBe(false);
    expect(await isServed(withTree(lackingChild))).toBe(false);
  });

  test("a Tree that is none", async () => {
    const [noTree] = await store(Buffer.from("certainly not a Tree"));
    expect(await isServed(withTree(noTree))).toBe(false);
  });

  test("root Directories, the directories below and their files", async () => {
    const directory = (files: readonly Digest[], directories: readonly Digest[]) =>
      toBinary(
        DirectorySchema,
        create(DirectorySchema, {
          files: files.map((digest, i) => ({ name: `f${i}`, digest })),
          directories: directories.map((digest, i) => ({ name: `d${i}`, digest })),
        }),
      );
    const files = await store(randomBytes(5), randomBytes(6));
    const served = async (bottom: Uint8Array, isStored = true) => {
      if (isStored) await store(bottom);
      const middle = directory(files, [digestOf(bottom)]);
      const top = directory([], [digestOf(middle), digestOf(bottom)]);
      const [rootDirectoryDigest] = await store(top, middle);
      return isServed({ outputDirectories: [{ path: "d", rootDirectoryDigest }] });
    };
    expect(await served(directory(files, []))).toBe(true);
    expect(await served(directory([absent()], []))).toBe(false);
    expect(await served(directory([], [absent()]))).toBe(false);
    expect(await served(directory(files.slice(1), []), false)).toBe(false);
  });
});

describe("contents are inlined where they are wanted", () => {
  test("stdout, stderr and the files asked for", async () => {
    const blobs = [randomBytes(10), randomBytes(20_000), randomBytes(30), randomBytes(40)];
    const [stdoutDigest, stderrDigest, first, second] = await store(...blobs);
    const actionDigest = newAction();
    const actionResult: ResultInit = {
      stdoutDigest,
      stderrDigest,
      outputFiles: [
        { path: "first", digest: first },
        { path: "second", digest: second },
      ],
    };
    await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult });
    const bare = await clients.actionCache.getActionResult({ instanceName, actionDigest });
    expect(
      [bare.stdoutRaw, bare.stderrRaw, ...bare.outputFiles.map(({ contents }) => contents)].every(
        (b) => b.length === 0,
      ),
    ).toBe(true);
    const full = await clients.actionCache.getActionResult({
      instanceName,
      actionDigest,
      inlineStdout: true,
      inlineStderr: true,
      inlineOutputFiles: ["second", "no such file"],
    });
    expect([full.stdoutRaw, full.stderrRaw].map((b) => Buffer.from(b))).toEqual(blobs.slice(0, 2));
    expect(full.outputFiles.map(({ contents }) => Buffer.from(contents))).toEqual([Buffer.alloc(0), blobs[3]]);
    expect(full.stdoutDigest).toEqual(stdoutDigest);
  });

  test("every file up to a size, by the header that asks for that, behind those that are named", async () => {
    const blobs = [randomBytes(10), randomBytes(11), randomBytes(20_000)];
    const [small, larger, large] = await store(...blobs);
    const actionDigest = newAction();
    const actionResult: ResultInit = {
      outputFiles: [
        { path: "small", digest: small },
        { path: "larger", digest: larger },
        { path: "large", digest: large },
      ],
    };
    await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult });
    const contents = async (upToBytes: string) => {
      const request = { instanceName, actionDigest, inlineOutputFiles: ["large"] };
      const headers = { "remex-inline-outputs-up-to-bytes": upToBytes };
      const { outputFiles } = await clients.actionCache.getActionResult(request, { headers });
      return outputFiles.map((file) => file.contents.length);
    };
    expect(await contents("10")).toEqual([10, 0, 20_000]);
    expect(await contents("11")).toEqual([10, 11, 20_000]);
    expect(await contents("-1")).toEqual([0, 0, 20_000]);
  });

  test("as far as a message has room (bb-remote-execution#176)", async () => {
    const blobs = [randomBytes(1_000_000), randomBytes(1_500_000), randomBytes(500_000)];
    const [stdoutDigest, stderrDigest, digest] = await store(...blobs);
    const actionDigest = newAction();
    const actionResult: ResultInit = { stdoutDigest, stderrDigest, outputFiles: [{ path: "a", digest }] };
    await clients.actionCache.updateActionResult({ instanceName, actionDigest, actionResult });
    const served = await clients.actionCache.getActionResult({
      instanceName,
      actionDigest,
      inlineStdout: true,
      inlineStderr: true,
      inlineOutputFiles: ["a"],
    });
    expect(served.stdoutRaw.length).toBe(1_000_000);
    expect(served.stderrRaw.length).toBe(0);
    expect(served.outputFiles[0]?.contents.length).toBe(500_000);
  });
});
