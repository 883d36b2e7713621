import { link, readlink, rm, statfs, symlink, writeFile } from "node:fs/promises";
import type { Logger } from "pino";
import { findProgram } from "../find-program.ts";
import { safePlacementMode } from "../inputs/file-placement.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { closeControlGroups, openControlGroups } from "../runner/control-groups.ts";
import { Sandbox, type SandboxMode, type SandboxView } from "../sandbox.ts";
import { errorMessage } from "../system-error.ts";
import { WorkDirectory } from "../work-directory.ts";
import type { Finding } from "./finding.ts";

const GIBIBYTE = 1024 ** 3;

/** Less is soon full of inputs and outputs. */
const COMFORTABLE_BYTES = 10 * GIBIBYTE;

/** Names of C compilers: most builds begin with one. */
const COMPILERS = ["cc", "gcc", "clang", "cl"];

/** Looks at the work directory: whether it can be written to, what room there is, whether files can be linked. */
export async function checkWorkDirectory(path: string, logger: Logger): Promise<readonly Finding[]> {
  let work: WorkDirectory;
  try {
    work = await WorkDirectory.open(path, logger);
  } catch (error) {
    return [{ about: "work directory", state: "broken", text: `${errorMessage(error)}. Name another with --work-dir` }];
  }
  const { bavail, bsize } = await statfs(work.cache);
  return [
    { about: "work directory", state: "well", text: `${path} can be written to` },
    checkSpace(bavail * bsize),
    await checkLinks(work),
    await checkSymlinks(work),
  ];
}

export function checkSpace(freeBytes: number): Finding {
  const about = "disk space";
  const free = `${(freeBytes / GIBIBYTE).toFixed(1)} GiB are free`;
  if (freeBytes < DEFAULT_LIMITS.minFreeBytes) {
    return { about, state: "broken", text: `${free}: an agent takes no action here. Make room` };
  }
  if (freeBytes < COMFORTABLE_BYTES) return { about, state: "doubtful", text: `${free}: that is soon used up` };
  return { about, state: "well", text: free };
}

async function checkLinks(work: WorkDirectory): Promise<Finding> {
  const about = "hard links";
  const [file, second] = [work.newTemporaryFile(), work.newTemporaryFile()];
  try {
    await writeFile(file, "");
    await link(file, second);
  } catch (error) {
    const text = `this file system has none (${errorMessage(error)}): inputs are copied, which takes longer`;
    return { about, state: "doubtful", text };
  } finally {
    for (const each of [file, second]) await rm(each, { force: true });
  }
  if ((await safePlacementMode(work.newTemporaryFile())) === "hard-link") {
    return { about, state: "well", text: "inputs are linked into place" };
  }
  // See safePlacementMode: only one of the two can be so on each system.
  const why =
    process.platform === "win32"
      ? "a read-only file here becomes writable with the removal of one of its links: use an NTFS disk"
      : "this user may write to any file: run the agent as one who is not root";
  const text = `inputs are copied, but in a sandbox, since ${why}`;
  return { about, state: "doubtful", text };
}

async function checkSymlinks(work: WorkDirectory): Promise<Finding> {
  const about = "symlinks";
  const path = work.newTemporaryFile();
  try {
    await symlink("target", path);
    if ((await readlink(path)) === "target") return { about, state: "well", text: "can be made" };
    return {
      about,
      state: "doubtful",
      text: "do not lead where they should: actions that have some among their inputs fail",
    };
  } catch (error) {
    const text =
      `can't be made (${errorMessage(error)}): actions that have some among their inputs fail. ` +
      "On Windows turn Developer Mode on, or let the agent's user make symbolic links";
    return { about, state: "doubtful", text };
  } finally {
    await rm(path, { force: true });
  }
}

/** @param scratch a path at which to try it; nothing is there before or after */
export async function checkSandbox(
  mode: SandboxMode,
  view: SandboxView,
  scratch: string,
  logger: Logger,
): Promise<Finding> {
  const about = "sandbox";
  if (mode === "none")
    return { about, state: "doubtful", text: "off, by --sandbox none: actions see all of this machine" };
  try {
    await Sandbox.open("bwrap", view, scratch, logger);
    return { about, state: "well", text: "bubblewrap works" };
  } catch (error) {
    return { about, state: mode === "bwrap" ? "broken" : "doubtful", text: errorMessage(error) };
  }
}

/** @param userId undefined where there are none */
export function checkUser(userId: number | undefined): Finding {
  const about = "user";
  if (userId !== 0) return { about, state: "well", text: "it is not root" };
  return {
    about,
    state: "doubtful",
    text: "it is root, and so are actions outside a sandbox: use one for the agent alone",
  };
}

/** Whether actions can be bounded, and killed whole. */
export async function checkControlGroups(mode: "auto" | "none"): Promise<Finding> {
  const about = "control groups";
  if (mode === "none") {
    return { about, state: "doubtful", text: "off, by --control-groups none: actions may use all memory and CPUs" };
  }
  try {
    const groups = await openControlGroups();
    await closeControlGroups(groups);
    if (groups.lacking === undefined) return { about, state: "well", text: "memory and CPUs of actions are bounded" };
    return { about, state: "doubtful", text: `memory and CPUs of actions are not all bounded: ${groups.lacking}` };
  } catch (error) {
    const text = `${errorMessage(error)}: actions may use all memory and CPUs`;
    return { about, state: "doubtful", text };
  }
}

export async function checkToolchain(searchPath: string | undefined): Promise<Finding> {
  const about = "toolchain";
  for (const name of COMPILERS) {
    const path = await findProgram(name, searchPath);
    if (path !== undefined) return { about, state: "well", text: `${path} is there` };
  }
  const text = "there is no C compiler in PATH: C and C++ actions need one, unless they bring it";
  return { about, state: "doubtful", text };
}
