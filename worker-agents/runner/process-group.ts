// What differs between operating systems in killing a command together with all that it started.

import { spawn, type ChildProcess } from "node:child_process";
import { systemErrorCode } from "../system-error.ts";

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
 * Kills what the child, which has ended, left in the background. Not on Windows: it forgets who started whom when the
 * parent goes.
 */
export function killRest(child: ChildProcess): void {
  if (!windows) signalGroup(child);
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
