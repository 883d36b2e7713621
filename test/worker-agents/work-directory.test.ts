import { execFile, execFileSync } from "node:child_process";
import { chmod, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { removeTree } from "../../worker-agents/remove-tree.ts";
import { WorkDirectory, WorkDirectoryError } from "../../worker-agents/work-directory.ts";
import { SILENT, temporaryDirectory } from "./running-agent.ts";

const [REMOVE_TREE, WORK_DIRECTORY] = ["remove-tree.ts", "work-directory.ts"].map((name) =>
  fileURLToPath(new URL(`../../worker-agents/${name}`, import.meta.url)),
);

/** Arguments of `unshare` for a process with mounts of its own, as any user. */
const PRIVATE_MOUNTS = ["--user", "--map-root-user", "--mount"];

const lackingForMounts = whatMountsLack();
if (lackingForMounts !== undefined) console.warn(`SKIPPING TESTS: private mounts: ${lackingForMounts}`);

function whatMountsLack(): string | undefined {
  try {
    execFileSync("unshare", [...PRIVATE_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Runs a module in which directories can be mounted on, so that they are in use. Returns what it says. */
async function withPrivateMounts(program: string): Promise<string> {
  const prelude = `
    import { execFileSync } from "node:child_process";
    import { existsSync, mkdirSync } from "node:fs";
    const mount = (path) => execFileSync("mount", ["-t", "tmpfs", "none", path]);
    const unmount = (path) => execFileSync("umount", [path]);
  `;
  const args = [...PRIVATE_MOUNTS, process.execPath, "--input-type=module", "--eval", prelude + program];
  const { stdout } = await promisify(execFile)("unshare", args, { timeout: MOUNTS_TIMEOUT_MS });
  return stdout;
}

/** One that goes on for ever is not to outlive its test. */
const MOUNTS_TIMEOUT_MS = 20_000;

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

  it.skipIf(lackingForMounts !== undefined)("is rid later of what could not be removed at first", async () => {
    const stdout = await withPrivateMounts(`
      const { WorkDirectory } = await import(${JSON.stringify(WORK_DIRECTORY)});
      const work = await WorkDirectory.open(${JSON.stringify(await temporaryDirectory())}, { warn: () => {} });
      const [stuck, other] = [work.newAttempt(), work.newAttempt()];
      for (const each of [stuck, other]) mkdirSync(each);
      const discard = async (path) => {
        work.discard(path);
        await work.whenRemoved(new AbortController().signal);
        console.log([stuck, other].map((each) => existsSync(each)).join());
      };
      mount(stuck);
      await discard(stuck);
      unmount(stuck);
      await discard(other);
    `);
    expect(stdout).toBe("true,true\nfalse,false\n");
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

  it.skipIf(lackingForMounts !== undefined)(
    "gives up what can't be removed, however deep it is, without trying again for each directory above",
    async () => {
      const tree = join(await temporaryDirectory(), "tree");
      const stuck = join(tree, ...Array.from({ length: 12 }, (_, depth) => `d${depth}`));
      await mkdir(stuck, { recursive: true });
      const stdout = await withPrivateMounts(`
        mount(${JSON.stringify(stuck)});
        const { removeTree } = await import(${JSON.stringify(REMOVE_TREE)});
        await removeTree(${JSON.stringify(tree)}).catch(({ code }) => console.log(code));
      `);
      expect(stdout).toBe("EBUSY\n");
    },
  );
});
