import { existsSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import {
  Command_OutputDirectoryFormat as Format,
  DirectorySchema,
  TreeSchema,
  type Directory,
  type OutputDirectory,
  type Tree,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { sha256, type CasServer } from "./cas-server.ts";
import { executable, symlinkTo } from "./input-tree.ts";
import { shell } from "./leases.ts";
import { runAction, type Ran } from "./run-action.ts";
import { startAgent, temporaryDirectory } from "./running-agent.ts";

describe("outputs by output_paths", () => {
  it("are files with their executable bits, directories and symlinks, and what is not there is absent (bazel#19143, bazel#8581, nativelink#2346)", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, {
      command: shell(
        `echo text > out/file; printf '#!/bin/sh' > out/program; chmod +x out/program; : > out/empty
         mkdir -p tree/sub; echo x > tree/sub/x; ln -s /nowhere absolute; ln -s out/file relative; ln -s tree dirlink`,
        {
          outputPaths: ["absent", "absolute", "dirlink", "out/empty", "out/file", "out/program", "relative", "tree"],
        },
      ),
    });
    expect(ran.exitCode).toBe(0);
    const { outputFiles, outputDirectories, outputSymlinks, ...rest } = actionResult(ran);
    expect(outputFiles.map(({ path, isExecutable }) => [path, isExecutable])).toEqual([
      ["out/empty", false],
      ["out/file", false],
      ["out/program", true],
    ]);
    expect(outputFiles.map(({ digest }) => agent.peer.cas.get(digest).toString())).toEqual(["", "text\n", "#!/bin/sh"]);
    expect(outputDirectories.map(({ path }) => path)).toEqual(["tree"]);
    expect(outputSymlinks.map(({ path, target }) => [path, target])).toEqual([
      ["absolute", "/nowhere"],
      ["dirlink", "tree"],
      ["relative", "out/file"],
    ]);
    expect(rest).toMatchObject({ outputFileSymlinks: [], outputDirectorySymlinks: [] });
  });

  it("are relative to the working directory, may leave it, and have their parents made", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, {
      inputs: { "work/in": "1", "beside/": "" },
      command: shell("cp in deep/er/copy; cp in ../beside/copy; cp in ../new/copy; pwd", {
        workingDirectory: "work",
        outputPaths: ["../beside/copy", "../new/copy", "deep/er/copy"],
      }),
    });
    expect(ran).toMatchObject({ exitCode: 0, stderr: "" });
    expect(ran.stdout).toMatch(/\/work\n$/);
    expect(actionResult(ran).outputFiles.map(({ path }) => path)).toEqual([
      "../beside/copy",
      "../new/copy",
      "deep/er/copy",
    ]);
  });

  it("are known by UTF-8 names, and one that is not UTF-8 is refused", async () => {
    const agent = await startAgent();
    const names = await runAction(agent, {
      command: shell("mkdir d; touch d/ä d/😀 'd/a b' \"$(printf 'd/\\357\\277\\275')\"", { outputPaths: ["d"] }),
    });
    expect(treeOf(agent.peer.cas, names).root?.files.map(({ name }) => name)).toEqual(["a b", "ä", "\uFFFD", "😀"]);
    const binary = await runAction(agent, {
      command: shell("mkdir d; touch \"$(printf 'd/\\377')\"", { outputPaths: ["d"] }),
    });
    expect(binary).toMatchObject({ outcome: "REFUSED", message: 'output d: "ÿ" there is not UTF-8' });
  });

  it("of a failed command are reported, too", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, { command: shell("echo log > log; exit 1", { outputPaths: ["log"] }) });
    expect(ran).toMatchObject({ outcome: "COMPLETED", exitCode: 1 });
    expect(actionResult(ran).outputFiles).toHaveLength(1);
  });

  it("become the next action's inputs without a call", async () => {
    const agent = await startAgent();
    const large = "l".repeat(200_000);
    const command = shell(`echo small > small; printf %200000s | tr ' ' l > large; chmod +x large`, {
      outputPaths: ["large", "small"],
    });
    expect(await runAction(agent, { command })).toMatchObject({ exitCode: 0 });
    agent.peer.cas.remove(sha256("small\n"));
    agent.peer.cas.remove(sha256(large));
    const { cas } = agent.peer;
    // Stored for the moment in which the tree is made of them.
    const spec = { inputs: { small: "small\n", large: executable(large) }, command: shell("cat small large | wc -c") };
    const ran = runAction(agent, spec);
    cas.remove(sha256("small\n"));
    cas.remove(sha256(large));
    expect(Number((await ran).stdout)).toBe(200_006);
  });

  it("are uploaded only where they are missing, small ones together and large ones as streams", async () => {
    const agent = await startAgent();
    const command = shell("for i in 1 2 3; do echo $i > $i; done; head -c 3000000 /dev/zero > large", {
      outputPaths: ["1", "2", "3", "large"],
    });
    const { cas } = agent.peer;
    const calls = (): number[] => [cas.callsOf("findMissing"), cas.callsOf("batchUpdate"), cas.callsOf("write")];
    await runAction(agent, { command });
    expect(calls()).toEqual([1, 1, 1]);
    await runAction(agent, { command });
    expect(calls()).toEqual([2, 1, 1]);
    await runAction(agent, { command: shell("true") });
    expect(calls()).toEqual([2, 1, 1]);
  });

  it("are refused where a symlink leads out of the input root, and nothing is made there", async () => {
    const agent = await startAgent();
    const outside = await temporaryDirectory();
    const byInput = await runAction(agent, {
      inputs: { out: symlinkTo(outside) },
      command: shell("true", { outputPaths: ["out/new/file"] }),
    });
    expect(byInput.outcome).toBe("REFUSED");
    expect(byInput.result.status?.code).toBe(Code.InvalidArgument);
    expect(byInput.message).toContain("leads out of the input root");
    expect(existsSync(join(outside, "new"))).toBe(false);
    const byCommand = await runAction(agent, {
      command: shell("rmdir out; ln -s /etc out", { outputPaths: ["out/passwd"] }),
    });
    expect(byCommand.message).toContain("leads out of the input root");
  });

  it("go through a symlink that stays inside", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, {
      inputs: { "real/": "", out: symlinkTo("real") },
      command: shell("echo x > out/sub/x", { outputPaths: ["out/sub/x"] }),
    });
    expect(actionResult(ran).outputFiles.map(({ path }) => path)).toEqual(["out/sub/x"]);
  });

  it("can't be where the input tree has a file for their directory", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, {
      inputs: { out: "a file" },
      command: shell("true", { outputPaths: ["out/x"] }),
    });
    expect(ran).toMatchObject({ outcome: "REFUSED" });
    expect(ran.message).toContain("out must be a directory for the outputs");
  });
});

describe("output directories", () => {
  const script = `mkdir -p d/same1/leaf d/same2/leaf d/empty
    echo x > d/same1/leaf/x; echo x > d/same2/leaf/x; echo p > d/p; chmod +x d/p; ln -s ../nowhere d/link; mkfifo d/fifo`;

  it("are Trees with each directory once, parents first", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, { command: shell(script, { outputPaths: ["d"] }) });
    const tree = treeOf(agent.peer.cas, ran);
    expect(describeDirectory(tree.root)).toEqual({
      files: ["p*"],
      directories: ["empty", "same1", "same2"],
      symlinks: ["link -> ../nowhere"],
    });
    const children = tree.children.map((child) => toBinary(DirectorySchema, child));
    expect(new Set(children.map((bytes) => sha256(bytes).hash)).size).toBe(children.length);
    expect(tree.children.map((child) => describeDirectory(child))).toHaveLength(3);
    expect(outputDirectory(ran).isTopologicallySorted).toBe(true);
    expect(unresolved(tree)).toEqual([]);
    expect(outputDirectory(ran).rootDirectoryDigest).toBeUndefined();
  });

  it("are single Directories where that is asked for, or both", async () => {
    const agent = await startAgent();
    const { cas } = agent.peer;
    const directories = await runAction(agent, {
      command: shell(script, { outputPaths: ["d"], outputDirectoryFormat: Format.DIRECTORY_ONLY }),
    });
    const { treeDigest, rootDirectoryDigest } = outputDirectory(directories);
    expect(treeDigest).toBeUndefined();
    const root = fromBinary(DirectorySchema, cas.get(rootDirectoryDigest));
    for (const { digest } of root.directories) cas.get(digest);
    const both = await runAction(agent, {
      command: shell(script, { outputPaths: ["d"], outputDirectoryFormat: Format.TREE_AND_DIRECTORY }),
    });
    expect(outputDirectory(both).rootDirectoryDigest).toEqual(rootDirectoryDigest);
    expect(treeOf(cas, both).root).toEqual(root);
  });

  it("have the node properties that are asked for, in results and in Trees", async () => {
    const agent = await startAgent();
    const script = `mkdir -p d/sub; echo x > file; cp file d/sub/x; ln -s x d/sub/link; ln -s file link
      chmod 640 file d/sub/x; touch -d @1234567890.25 file d/sub/x; chmod 750 d/sub`;
    const ran = await runAction(agent, {
      command: shell(script, {
        outputPaths: ["d", "file", "link"],
        outputNodeProperties: ["mtime", "unheard-of", "unix_mode"],
      }),
    });
    const asked = { unixMode: 0o640, mtime: { seconds: 1234567890n, nanos: 250_000_000 } };
    const result = actionResult(ran);
    expect(result.outputFiles[0]?.nodeProperties).toMatchObject(asked);
    expect(result.outputSymlinks[0]?.nodeProperties?.mtime).toBeDefined();
    const [sub] = treeOf(agent.peer.cas, ran).children;
    expect(sub?.nodeProperties).toMatchObject({ unixMode: 0o750 });
    expect(sub?.files[0]?.nodeProperties).toMatchObject(asked);
    expect(sub?.symlinks[0]?.nodeProperties?.mtime).toBeDefined();
  });

  it("may be the whole working directory", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, {
      inputs: { "w/in": "1" },
      command: shell("echo 2 > out", { workingDirectory: "w", outputDirectories: [""] }),
    });
    expect(describeDirectory(treeOf(agent.peer.cas, ran).root).files).toEqual(["in", "out"]);
  });
});

describe("outputs by the older fields", () => {
  it("are files, directories and symlinks, each in its own list", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, {
      command: shell("echo x > f; mkdir d; ln -s f flink; ln -s d dlink; ln -s nowhere dangling", {
        outputFiles: ["absent", "dangling", "f", "flink"],
        outputDirectories: ["d", "dlink", "nor-this"],
      }),
    });
    const result = actionResult(ran);
    expect(result.outputFiles.map(({ path }) => path)).toEqual(["f"]);
    expect(result.outputDirectories.map(({ path }) => path)).toEqual(["d"]);
    expect(result.outputFileSymlinks.map(({ path, target }) => [path, target])).toEqual([
      ["dangling", "nowhere"],
      ["flink", "f"],
    ]);
    expect(result.outputDirectorySymlinks.map(({ path, target }) => [path, target])).toEqual([["dlink", "d"]]);
    expect(result.outputSymlinks).toEqual([]);
  });

  it("are ignored beside output_paths", async () => {
    const agent = await startAgent();
    const ran = await runAction(agent, {
      command: shell("touch new old", { outputPaths: ["new"], outputFiles: ["old"] }),
    });
    expect(actionResult(ran).outputFiles.map(({ path }) => path)).toEqual(["new"]);
  });

  it("must be of the declared type, unless the command failed", async () => {
    const agent = await startAgent();
    for (const [command, message] of [
      [
        shell("mkdir x", { outputFiles: ["x"] }),
        "output x is declared as a file, but the command left a directory there",
      ],
      [
        shell("touch x", { outputDirectories: ["x"] }),
        "output x is declared as a directory, but the command left a file",
      ],
      [shell("ln -s / x", { outputFiles: ["x"] }), "left a symlink to a directory there"],
    ] as const) {
      const ran = await runAction(agent, { command });
      expect(ran.outcome).toBe("REFUSED");
      expect(ran.result.status?.code).toBe(Code.FailedPrecondition);
      expect(ran.message).toContain(message);
    }
    const failed = await runAction(agent, { command: shell("mkdir x; exit 1", { outputFiles: ["x"] }) });
    expect(failed).toMatchObject({ outcome: "COMPLETED", exitCode: 1 });
  });
});

it("a result too large for a message is refused, and the remedy named (bazel#6373)", async () => {
  const agent = await startAgent({ limits: { maxMessageBytes: 2_000 } });
  const outputPaths = Array.from({ length: 50 }, (_, i) => `output-${String(i).padStart(3, "0")}`);
  const ran = await runAction(agent, { command: shell(`touch ${outputPaths.join(" ")}`, { outputPaths }) });
  expect(ran.outcome).toBe("REFUSED");
  expect(ran.result.status?.code).toBe(Code.ResourceExhausted);
  expect(ran.message).toContain("declare a directory");
});

function actionResult({ result }: Ran): NonNullable<Ran["result"]["actionResult"]> {
  if (result.actionResult === undefined) throw new Error(result.status?.message);
  return result.actionResult;
}

function outputDirectory(ran: Ran): OutputDirectory {
  const [directory] = actionResult(ran).outputDirectories;
  if (directory === undefined) throw new Error("no output directory");
  return directory;
}

function treeOf(cas: CasServer, ran: Ran): Tree {
  return fromBinary(TreeSchema, cas.get(outputDirectory(ran).treeDigest));
}

function describeDirectory(directory: Directory | undefined): {
  readonly files: readonly string[];
  readonly directories: readonly string[];
  readonly symlinks: readonly string[];
} {
  return {
    files: directory?.files.map(({ name, isExecutable }) => (isExecutable ? `${name}*` : name)) ?? [],
    directories: directory?.directories.map(({ name }) => name) ?? [],
    symlinks: directory?.symlinks.map(({ name, target }) => `${name} -> ${target}`) ?? [],
  };
}

/** Directories of a Tree, by name, that do not come after the one that has them. */
function unresolved({ root, children }: Tree): string[] {
  const directories = [...(root === undefined ? [] : [root]), ...children];
  const digests = directories.map((directory) => sha256(toBinary(DirectorySchema, directory)).hash);
  return directories.flatMap((directory, index) =>
    directory.directories.filter(({ digest }) => digests.indexOf(digest?.hash ?? "") <= index).map(({ name }) => name),
  );
}
