import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { digestKey } from "../../../src/digest/digest.ts";
import type { InputDirectory } from "../../../worker-agents/inputs/input-directory.ts";
import type { InputTree } from "../../../worker-agents/inputs/input-tree.ts";
import { prepareOutputDirectories } from "../../../worker-agents/outputs/prepare-outputs.ts";
import { sha256 } from "../cas-server.ts";
import { temporaryDirectory } from "../running-agent.ts";

it("makes no directory through a symlink that the file system has by another name than the tree", async () => {
  const [directory, outside] = [await temporaryDirectory(), await temporaryDirectory()];
  const root: InputDirectory = { files: [], directories: [], symlinks: [{ name: "Out", target: outside }] };
  const rootKey = digestKey(sha256("root"));
  const tree: InputTree = { root, rootKey, directories: new Map([[rootKey, root]]), nodes: new Map() };
  // As a file system that folds case would answer to the name of the output.
  const realRoot = join(directory, "root");
  await mkdir(realRoot);
  await symlink(outside, join(realRoot, "out"));
  const output = { path: "out/new/file", pathFromRoot: "out/new/file", kind: "path" } as const;
  await expect(prepareOutputDirectories(realRoot, tree, "", [output])).rejects.toThrow("leads out of the input root");
  expect(await readdir(outside)).toEqual([]);
});
