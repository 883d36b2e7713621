// What differs between operating systems in killing a command together with all that it started.

import { spawn, type ChildProcess } from "node:child_process";
import { killOrphans, orphansNow } from "./orphans.ts";
import { systemErrorCode } from "../system-error.ts";

const linux = process.platform === "linux";
const windows = process.platform === "win32";

/**
 * Options of `spawn` that make the child killable by `killGroup`: a process group of its own, or on Windows (where
 * `detached` would open a console window) nothing but a hidden window.
 */
export const GROUP_OPTIONS = windows ? { windowsHide: true } : { detached: true };

/** Kills the child and its descendants at once, with no chance to clean up. What has gone already is no error. */
export function killGroup(child: ChildProcess): void {
  if (windows) killTree(child);
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

function killTree(child: ChildProcess): void {
  if (child.pid === undefined) return;
  const taskkill = spawn("taskkill", ["/pid", String(child.pid), "/t", "/f"], { stdio: "ignore", windowsHide: true });
  taskkill.on("error", () => child.kill("SIGKILL"));
}
