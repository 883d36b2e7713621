import { expect, it } from "vitest";
import { digestKey } from "../../../src/digest/digest.ts";
import type { InputDirectory } from "../../../worker-agents/inputs/input-directory.ts";
import type { InputTree } from "../../../worker-agents/inputs/input-tree.ts";
import { symlinkType } from "../../../worker-agents/inputs/symlink-type.ts";
import { sha256 } from "../cas-server.ts";

const [ROOT, SUB, DEEP] = [sha256("root"), sha256("sub"), sha256("deep")];

function directory(contents: Partial<InputDirectory>): InputDirectory {
  return { files: [], directories: [], symlinks: [], ...contents };
}

/** sub/deep/ and sub/file, with symlinks in the root and in sub. */
function tree(inRoot: Record<string, string>, inSub: Record<string, string> = {}): InputTree {
  const symlinks = (links: Record<string, string>) => Object.entries(links).map(([name, target]) => ({ name, target }));
  const file = { name: "file", digest: sha256(""), isExecutable: false, isTool: false };
  const root = directory({ directories: [{ name: "sub", digest: SUB }], symlinks: symlinks(inRoot) });
  const sub = directory({ files: [file], directories: [{ name: "deep", digest: DEEP }], symlinks: symlinks(inSub) });
  const directories = new Map([
    [digestKey(ROOT), root],
    [digestKey(SUB), sub],
    [digestKey(DEEP), directory({})],
  ]);
  return { root, rootKey: digestKey(ROOT), directories, nodes: new Map() };
}

it("is that of a directory for what leads to one, itself or by way of other symlinks", () => {
  const links = { a: "sub", b: "sub/deep", c: "a", d: "c/deep", e: "./sub/../sub/", f: "." };
  for (const [name, target] of Object.entries(links)) {
    expect([name, symlinkType(tree(links), name, target)]).toEqual([name, "dir"]);
  }
  const up = { up: "..", over: "up/sub/deep" };
  for (const [name, target] of Object.entries(up)) {
    expect([name, symlinkType(tree({}, up), `sub/${name}`, target)]).toEqual([name, "dir"]);
  }
});

it("is that of a file for all else", () => {
  const links = { a: "sub/file", b: "nothing", c: "sub/file/deep", e: "../outside", f: "g", g: "f" };
  for (const [name, target] of Object.entries(links)) {
    expect([name, symlinkType(tree(links), name, target)]).toEqual([name, "file"]);
  }
});

it("is left to the machine for what is not in the tree", () => {
  expect(["/sub", "C:\\sub", "\\\\server\\share"].map((target) => symlinkType(tree({}), "a", target))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
