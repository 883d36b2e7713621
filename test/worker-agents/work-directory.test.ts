import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { removeTree } from "../../worker-agents/remove-tree.ts";
import { WorkDirectory, WorkDirectoryError } from "../../worker-agents/work-directory.ts";
import { SILENT, temporaryDirectory } from "./running-agent.ts";

describe("the work directory", () => {
  it("is rid of what killed agents left, and keeps what another one uses", async () => {
    const path = await temporaryDirectory();
    const { pid: gone = 0 } = await new Promise<{ pid?: number | undefined }>((resolve) => {
      const child = execFile("/bin/sh", ["-c", ""], () => {
        resolve(child);
      });
    });
    for (const owner of [`${gone}-1`, `${process.pid}-1`, "stray", `${process.ppid}-1`]) {
      await mkdir(join(path, "attempts", owner, "root"), { recursive: true });
      await mkdir(join(path, "temporary"), { recursive: true });
      await writeFile(join(path, "temporary", owner), "");
    }
    await WorkDirectory.open(path, SILENT);
    expect(await readdir(join(path, "attempts"))).toEqual([`${process.ppid}-1`]);
    expect(await readdir(join(path, "temporary"))).toEqual([`${process.ppid}-1`]);
  });

  it("that can't be made is an error that says why", async () => {
    const path = join(await temporaryDirectory(), "file");
    await writeFile(path, "");
    const opening = WorkDirectory.open(join(path, "below"), SILENT);
    await expect(opening).rejects.toThrow(WorkDirectoryError);
    await expect(opening).rejects.toThrow(/work directory .* can't be used: ENOTDIR/);
  });
});

describe("removing a tree", () => {
  it("removes all that is in it, whatever it is called, and nothing that symlinks lead to", async () => {
    const path = await temporaryDirectory();
    const outside = await temporaryDirectory();
    await writeFile(join(outside, "kept"), "");
    const tree = join(path, "tree");
    await mkdir(join(tree, "a", "b"), { recursive: true });
    await symlink(outside, join(tree, "a", "link"));
    await promisify(execFile)("/bin/sh", ["-c", "touch \"$(printf 'x\\377')\"; mkdir \"$(printf 'd\\377')\""], {
      cwd: tree,
    });
    await chmod(join(tree, "a", "b"), 0o000);
    await chmod(join(tree, "a"), 0o500);
    await removeTree(tree);
    expect(await readdir(path)).toEqual([]);
    expect(await readdir(outside)).toEqual(["kept"]);
  });

  it("takes a file for a tree, too, and what is not there for removed", async () => {
    const path = await temporaryDirectory();
    await writeFile(join(path, "file"), "");
    await removeTree(join(path, "file"));
    await removeTree(join(path, "file"));
    expect(await readdir(path)).toEqual([]);
  });
});
