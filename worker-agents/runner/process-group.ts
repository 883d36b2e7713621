// What differs between operating systems in killing a command together with all that it started.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { killOrphans, orphansNow } from "./orphans.ts";
import { systemProgram, windowsDirectory } from "./program-start.ts";
import { systemErrorCode } from "../system-error.ts";

const linux = process.platform === "linux";
const windows = process.platform === "win32";

/**
 * Options of `spawn` that make the child killable by `killGroup`: a process group of its own, or on Windows nothing but a
 * hidden window.
 */
export const GROUP_OPTIONS = windows ? { windowsHide: true } : { detached: true };

/**
 * Options for a process that ends others when this one is gone. On Windows Node.js has the system kill its children with it,
 * but not those that are detached; nor do these hear of a Ctrl-C in this process's console, and neither do their children.
 */
export const OUTLIVING_OPTIONS = { detached: true, windowsHide: true };

/**
 * The environment of a process that starts commands, of which only Windows' programs get something undeclared: what they
 * can't do without (SystemRoot, TEMP, USERPROFILE and the like), and PATH, which here leads to Windows' own programs alone.
 */
export function startersEnvironment(platform: NodeJS.Platform = process.platform): Readonly<Record<string, string>> {
  if (platform !== "win32") return {};
  const directory = windowsDirectory();
  return { PATH: `${directory}\\System32;${directory}` };
}

/**
 * Kills the child and its descendants at once, with no chance to clean up. What has gone already is no error. Resolves when
 * they have been told: on Windows another process has to do that.
 */
export async function killGroup(child: ChildProcess): Promise<void> {
  if (windows) await killTree(child);
  else signalGroup(child);
}

/**
 * Kills what the child, which has ended, left in the background: on macOS what is still in its group, on Linux also what
 * has left it. Not on Windows: it forgets who started whom when the parent goes.
 * @param directory where the child's files are, by which what it left is known
 * @param before what `orphansBefore` said before it was started
 */
export function killRest(child: ChildProcess, directory: string, before: ReadonlySet<number>): void {
  if (!windows) signalGroup(child);
  if (linux) killOrphans(directory, before);
}

/** Processes that will be none of the next child's. */
export function orphansBefore(): ReadonlySet<number> {
  return linux ? orphansNow() : new Set();
}

/** Kills what a runner process that was lost had started in `directory`, on Linux; elsewhere it can't be found. */
export function killAbandoned(directory: string): void {
  if (linux) killOrphans(directory);
}

function signalGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // EPERM: macOS says so of a group of zombies.
    const code = systemErrorCode(error);
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

async function killTree(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const program = systemProgram("taskkill.exe");
  try {
    const taskkill = spawn(program, ["/pid", String(child.pid), "/t", "/f"], { ...OUTLIVING_OPTIONS, stdio: "ignore" });
    await once(taskkill, "exit");
  } catch {
    // There is none, or it can't be started: then at least the child goes.
  }
  // It fails for a child that has gone, and where any of the tree can't be killed: then this does no harm.
  child.kill("SIGKILL");
}
