import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { DirectorySchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { PreconditionFailureSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { LeaseResult_Outcome, type LeaseResult } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { digestToWire, type Digest } from "../../src/digest/digest.ts";
import { sha256 } from "./cas-server.ts";
import { executable, putTree, symlinkTo } from "./input-tree.ts";
import { leaseOf, shell } from "./leases.ts";
import { runAction } from "./run-action.ts";
import { startAgent, startPeer, temporaryDirectory } from "./running-agent.ts";

describe("an input tree", () => {
  it("is there with its files, of which the CAS lacks the empty one (bazel#11063), executable bits, symlinks and empty directories", async () => {
    const agent = await startAgent();
    const { stdout } = await runAction(agent, {
      inputs: {
        "a/deep/file": "deep",
        "a/same-content": "deep",
        empty: "",
        "empty-program": executable(""),
        "nothing-here/": "",
        program: executable("#!/bin/sh\necho ran"),
        link: symlinkTo("a/deep/file"),
        "dangling/link": symlinkTo("../nowhere"),
        absolute: symlinkTo("/dev/null"),
      },
      command: shell(`find . | LC_ALL=C sort
        cat a/deep/file a/same-content empty link
        ./program
        test -x empty-program && test ! -x empty && echo bits
        readlink dangling/link absolute`),
    });
    expect(stdout.split("\n")).toEqual([
      ...[".", "./a", "./a/deep", "./a/deep/file", "./a/same-content", "./absolute", "./dangling", "./dangling/link"],
      ...["./empty", "./empty-program", "./link", "./nothing-here", "./program"],
      "deepdeepdeepran",
      "bits",
      "../nowhere",
      "/dev/null",
      "",
    ]);
  });

  it("of one content as program and as data has both", async () => {
    const agent = await startAgent();
    const inputs = { data: "#!/bin/sh\necho same", program: executable("#!/bin/sh\necho same") };
    const command = shell("test ! -x data && ./program && cmp data program");
    expect(await runAction(agent, { inputs, command })).toMatchObject({ exitCode: 0, stdout: "same\n" });
    expect(await runAction(agent, { inputs: { program: inputs.program }, command: shell("./program") })).toMatchObject({
      stdout: "same\n",
    });
    expect(agent.peer.cas.offsets).toEqual([]);
  });

  it("is fetched in batches, its large files as streams, and each blob once", async () => {
    const agent = await startAgent();
    const large = "x".repeat(3_000_000);
    const inputs = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`dir${i % 3}/file${i}`, `content ${i}`]));
    const spec = { inputs: { ...inputs, large }, command: shell("cat */* large | wc -c") };
    const first = await runAction(agent, spec);
    const calls = (): number[] => [agent.peer.cas.callsOf("batchRead"), agent.peer.cas.callsOf("read")];
    const before = calls();
    // The root, the directories in it, the small files; and the large one.
    expect(before).toEqual([3, 1]);
    expect((await runAction(agent, spec)).stdout).toBe(first.stdout);
    expect(calls()).toEqual(before);
  });

  it("that several actions want at once is fetched once", async () => {
    const { peer, connection } = await startAgent({ maxActions: 3 });
    const { promise, resolve } = Promise.withResolvers<undefined>();
    peer.cas.gate = promise.then();
    const lease = leaseOf(peer, { inputs: { large: "y".repeat(2_000_000) }, command: shell("wc -c < large") });
    for (const leaseId of ["1", "2", "3"]) connection.lease({ ...lease, leaseId });
    resolve(undefined);
    const results = [await connection.result(), await connection.result(), await connection.result()];
    expect(results.map(({ actionResult }) => actionResult?.exitCode)).toEqual([0, 0, 0]);
    expect(peer.cas.callsOf("read")).toBe(1);
  });

  it("keeps its files from being changed by a command, for the next action", async () => {
    const agent = await startAgent();
    const inputs = { victim: "as it was" };
    const attack = "chmod u+w victim; echo changed >> victim; rm -f victim; echo replaced > victim; cat victim";
    expect((await runAction(agent, { inputs, command: shell(attack) })).stdout).toBe("replaced\n");
    const append = "chmod u+w victim; echo changed >> victim; cat victim";
    expect((await runAction(agent, { inputs, command: shell(append) })).stdout).toBe("as it waschanged\n");
    expect((await runAction(agent, { inputs, command: shell("cat victim") })).stdout).toBe("as it was");
  });

  it("is hard-linked from the cache where that is asked for, and a link that was written through is found out", async () => {
    const agent = await startAgent({ placement: "hard-link" });
    const inputs = { victim: "as it was" };
    const links = await runAction(agent, { inputs, command: shell("stat -c %h victim || stat -f %l victim") });
    expect(links.stdout).toBe("2\n");
    await runAction(agent, { inputs, command: shell("chmod u+w victim; echo changed >> victim") });
    expect((await runAction(agent, { inputs, command: shell("cat victim") })).stdout).toBe("as it was");
  });

  it("with a Directory at the end of a long tree, and Action and Command in the CAS only, is read", async () => {
    const agent = await startAgent();
    const lease = leaseOf(agent.peer, { inputs: { "a/b/c/d": "found" }, command: shell("cat a/b/c/d") });
    agent.connection.lease({ ...lease, action: new Uint8Array(), command: new Uint8Array() });
    const { actionResult } = await agent.connection.result();
    expect(agent.peer.cas.get(actionResult?.stdoutDigest).toString()).toBe("found");
  });

  it("is set up again from the cache after a restart, without a call", async () => {
    const peer = await startPeer();
    const workDirectory = await temporaryDirectory();
    const spec = {
      inputs: { "a/one": "1", "b/two": executable("#!/bin/sh\necho 2") },
      command: shell("cat a/one; b/two"),
    };
    const first = await startAgent({ workDirectory }, peer);
    await runAction(first, spec);
    first.drain();
    await first.stopped;
    const second = await startAgent({ workDirectory }, peer);
    const { digests } = putTree(peer.cas, spec.inputs);
    for (const path of ["a/one", "b/two"]) peer.cas.remove(digests.get(path));
    expect(await runAction(second, spec)).toMatchObject({ exitCode: 0, stdout: "12\n" });
  });

  it("leaves nothing behind but the cache", async () => {
    const workDirectory = await temporaryDirectory();
    const agent = await startAgent({ workDirectory });
    await runAction(agent, {
      inputs: { "a/b": "c" },
      // Not even by taking away its own permissions.
      command: shell("mkdir -p x/y; touch x/y/z; chmod 0 x/y x"),
    });
    agent.drain();
    await agent.stopped;
    expect(await readdir(join(workDirectory, "attempts"))).toEqual([]);
    expect(await readdir(join(workDirectory, "temporary"))).toEqual([]);
  });
});

describe("what is missing", () => {
  const inputs = { "there/file": "present", "there/gone": "gone 1", "lost/unseen": "?", large: "z".repeat(2_000_000) };

  it("is named all at once: directories, and files above and beside them", async () => {
    const agent = await startAgent();
    const { root, digests } = putTree(agent.peer.cas, inputs);
    const missing = ["lost/", "there/gone", "large"].map((path) => digests.get(path));
    for (const digest of missing) agent.peer.cas.remove(digest);
    const { result } = await runAction(agent, { inputRoot: root, command: shell("true") });
    expect(missingSubjects(result)).toEqual(subjects(missing));
  });

  it("is named all at once where only files are missing", async () => {
    const agent = await startAgent();
    const { root, digests } = putTree(agent.peer.cas, inputs);
    const missing = ["lost/unseen", "there/gone", "large"].map((path) => digests.get(path));
    for (const digest of missing) agent.peer.cas.remove(digest);
    const { result } = await runAction(agent, { inputRoot: root, command: shell("true") });
    expect(missingSubjects(result)).toEqual(subjects(missing));
  });

  it("is named when it is the command", async () => {
    const { peer, connection } = await startAgent();
    const lease = leaseOf(peer, { command: shell("true") });
    const command = sha256(lease.command);
    peer.cas.remove(command);
    connection.lease({ ...lease, command: new Uint8Array() });
    expect(missingSubjects(await connection.result())).toEqual(subjects([command]));
  });
});

describe("a malformed input tree", () => {
  const digest = digestToWire(sha256("x"));

  it.each([
    ['".." is not a file name', { files: [{ name: "..", digest }] }],
    ['"a/b" is not a file name', { files: [{ name: "a/b", digest }] }],
    ['"" is not a file name', { directories: [{ name: "", digest }] }],
    ["is not a file name", { symlinks: [{ name: "nul\0", target: "x" }] }],
    ['symlink link has the target ""', { symlinks: [{ name: "link", target: "" }] }],
    ['"twice" comes twice', { files: [{ name: "twice", digest }], symlinks: [{ name: "twice", target: "x" }] }],
    ["is not 64 lower-case hex digits", { files: [{ name: "file", digest: { hash: "ABC", sizeBytes: 1n } }] }],
    ["digest of file is not set", { files: [{ name: "file" }] }],
    ["too long for this machine", { files: [{ name: "x".repeat(300), digest }] }],
  ])("is refused: %s", async (message, directory) => {
    const agent = await startAgent();
    agent.peer.cas.put("x");
    const inputRoot = agent.peer.cas.putMessage(DirectorySchema, directory);
    const ran = await runAction(agent, { inputRoot, command: shell("true") });
    expect(ran.outcome).toBe("REFUSED");
    expect(ran.result.status?.code).toBe(Code.InvalidArgument);
    expect(ran.message).toContain(message);
  });

  it("is refused if it is no Directory at all", async () => {
    const agent = await startAgent();
    const inputRoot = agent.peer.cas.put("no protobuf");
    const { outcome, message } = await runAction(agent, { inputRoot, command: shell("true") });
    expect({ outcome, message }).toEqual({
      outcome: "REFUSED",
      message: `input directory blobs/${inputRoot.hash}/${inputRoot.sizeBytes} is not a Directory message`,
    });
  });
});

/** The blobs that a refusal tells the client to upload. */
function missingSubjects({ outcome, status }: LeaseResult): string[] {
  expect({ outcome: LeaseResult_Outcome[outcome], code: status?.code }).toEqual({
    outcome: "REFUSED",
    code: Code.FailedPrecondition,
  });
  const [detail] = status?.details ?? [];
  const failure = detail && anyUnpack(detail, PreconditionFailureSchema);
  expect(failure?.violations.map(({ type }) => type)).toEqual(failure?.violations.map(() => "MISSING"));
  return (failure?.violations ?? []).map(({ subject }) => subject).sort();
}

function subjects(digests: readonly (Digest | undefined)[]): string[] {
  return digests.map((digest) => `blobs/${digest?.hash ?? ""}/${digest?.sizeBytes ?? ""}`).sort();
}
