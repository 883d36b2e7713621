import { execFile, execFileSync } from "node:child_process";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { fileURLToPath } from "node:url";

const CHECKOUT = fileURLToPath(new URL("../../..", import.meta.url));

/** What is deployed before this version: agents and objects of it are met after a deploy. To be moved on with each release. */
const PREVIOUS_COMMIT = "50bf9a3484ee5aab88954a373168e4d599408d23";

/** Remex, bundled. */
export interface Version {
  readonly name: "previous" | "present";
  /** The Worker's script. */
  readonly worker: string;
  /** Where the `remex` command is. */
  readonly program: string;
}

/** What the tests lack, as in `tools.ts`: a clone with little history doesn't have the previous version. */
export const PREVIOUS_SOURCE = { path: CHECKOUT, lacking: lackingHistory() };

/** The checkout, which is bundled before all tests. */
export async function presentVersion(): Promise<Version> {
  return bundled("present", CHECKOUT);
}

/** @param directory an empty one, where the previous version is unpacked and bundled */
export async function previousVersion(directory: string): Promise<Version> {
  const archive = join(directory, "source.tar");
  const tree = join(directory, "previous");
  const run = promisify(execFile);
  await mkdir(tree);
  await run("git", ["archive", "--output", archive, PREVIOUS_COMMIT], { cwd: CHECKOUT });
  await run("tar", ["-xf", archive, "-C", tree]);
  await symlink(join(CHECKOUT, "node_modules"), join(tree, "node_modules"), "junction");
  await run(process.execPath, ["build.js"], { cwd: tree });
  return bundled("previous", tree);
}

async function bundled(name: Version["name"], tree: string): Promise<Version> {
  return {
    name,
    worker: await readFile(join(tree, "dist", "worker.js"), "utf8"),
    program: join(tree, "dist", "remex.js"),
  };
}

function lackingHistory(): string | undefined {
  try {
    execFileSync("git", ["cat-file", "-e", PREVIOUS_COMMIT], { cwd: CHECKOUT, stdio: "ignore" });
    return undefined;
  } catch {
    return `commit ${PREVIOUS_COMMIT} is not in this clone, fetch its history`;
  }
}
