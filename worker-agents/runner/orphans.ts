// Linux: processes that left the process group of the command that started them, and lost the parent that did. They
// are children of init, or of another process above this one that takes orphans in.

import { readFileSync, readlinkSync } from "node:fs";
import { sep } from "node:path";

/** What was started meanwhile by what was killed is killed in the next round. */
const ROUNDS = 5;

const MAX_ANCESTORS = 64;

/** The children of all who take orphans in, whoever's they are. */
export function orphansNow(): ReadonlySet<number> {
  ancestors ??= findAncestors();
  return new Set(ancestors.flatMap(childrenOf));
}

/**
 * Kills the orphans that have to do with `directory`: that work in it, have one of its files for a stream, or name it
 * in their environment; and all that descends from them. One that keeps nothing of where it came from is not found: only
 * a sandbox holds that.
 * @param before those that were there before the command: they need no look
 */
export function killOrphans(directory: string, before: ReadonlySet<number> = new Set()): void {
  for (let round = 0; round < ROUNDS; round++) {
    const found = [...orphansNow()].filter((pid) => !before.has(pid) && belongsTo(pid, directory));
    if (found.length === 0) return;
    for (const pid of found.flatMap(withDescendants)) kill(pid);
  }
}

/** Where one has gone, the next of these takes the orphans in. */
let ancestors: readonly number[] | undefined;

function findAncestors(): number[] {
  const pids: number[] = [];
  let pid = process.ppid;
  while (pid > 1 && pids.length < MAX_ANCESTORS) {
    pids.push(pid);
    // After the name in parentheses, which may have any character: state, parent.
    pid = Number(/^.*\) \S (\d+)/s.exec(read(`/proc/${pid}/stat`))?.[1] ?? 1);
  }
  return [...pids, 1];
}

function childrenOf(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
}

function withDescendants(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(withDescendants)];
}

function belongsTo(pid: number, directory: string): boolean {
  const isInside = (path: string): boolean => path === directory || path.startsWith(directory + sep);
  const links = ["cwd", "fd/0", "fd/1", "fd/2"];
  return (
    links.some((name) => isInside(follow(`/proc/${pid}/${name}`))) || read(`/proc/${pid}/environ`).includes(directory)
  );
}

/** Empty for a process that has gone, or that this user may not look at. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function follow(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has gone.
  }
}
