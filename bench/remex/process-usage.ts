import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** A process as /proc/{pid}/stat describes it. */
interface ProcessStat {
  readonly pid: number;
  readonly name: string;
  readonly parent: number;
  /** CPU time of its own. */
  readonly cpuMs: number;
  /** CPU time of its children that have ended, and of theirs. */
  readonly endedChildrenCpuMs: number;
}

/** Linux counts CPU time in hundredths of a second for everybody, whatever the kernel uses itself. */
const TICK_MS = 10;

/** CPU time that a process has used so far, in ms; undefined where the system has no /proc. */
export function cpuMs(pid: number): number | undefined {
  return readStat(pid)?.cpuMs;
}

/** CPU time that all that a process has started has used so far, in ms. */
export function descendantsCpuMs(pid: number): number | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return undefined;
  const ofChildren = childrenOf(pid).map((child) => child.cpuMs + (descendantsCpuMs(child.pid) ?? 0));
  return ofChildren.reduce((sum, ms) => sum + ms, stat.endedChildrenCpuMs);
}

/** The children of a process, of this one if no other is named, that bear `name`. */
export function childrenNamed(name: string, parent: number = process.pid): number[] {
  return childrenOf(parent)
    .filter((child) => child.name === name)
    .map(({ pid }) => pid);
}

function childrenOf(pid: number): ProcessStat[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => readStat(Number(entry)) ?? [])
    .filter(({ parent }) => parent === pid);
}

function readStat(pid: number): ProcessStat | undefined {
  // proc(5): the name is in parentheses and may hold anything; then come the fields from the third on.
  const [, name = "", rest = ""] = /\((.*)\) (.*)/s.exec(readProc(pid, "stat") ?? "") ?? [];
  if (rest === "") return undefined;
  const fields = rest.split(" ").map(Number);
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
  return {
    pid,
    name,
    parent: fields[1] ?? 0,
    cpuMs: (utime + stime) * TICK_MS,
    endedChildrenCpuMs: (cutime + cstime) * TICK_MS,
  };
}

/** Memory of a process, in bytes. */
export interface MemoryUsage {
  readonly residentBytes: number;
  /** The most since `resetPeakMemory`. */
  readonly peakBytes: number;
}

export function memoryUsage(pid: number): MemoryUsage | undefined {
  const status = readProc(pid, "status");
  if (status === undefined) return undefined;
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
  return { residentBytes: kibibytes("VmRSS") * 1024, peakBytes: kibibytes("VmHWM") * 1024 };
}

/** Lets the peak begin again at what is resident now. */
export function resetPeakMemory(pid: number): void {
  try {
    // proc(5), clear_refs: 5 resets the peak resident set size.
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
  } catch (error) {
    if (isAbsent(error)) return;
    throw error;
  }
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Not Linux, or the process has ended. */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH");
}
