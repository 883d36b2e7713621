import { addCounts, type Counts, countsBetween, noCounts } from "../../src/billing/counts.ts";
import type { LoopResult } from "../load/closed-loop.ts";
import { type LocalRemex, WORKER_PART } from "../remex/local-remex.ts";
import { cpuMs, memoryUsage, resetPeakMemory } from "../remex/process-usage.ts";

/** What runs have used, beyond the time that they took. */
export interface Usage {
  /** What was counted in all of them; undefined if nothing is counted. */
  readonly counts: Counts | undefined;
  /** CPU time in all of them, by part. */
  readonly cpuMs: ReadonlyMap<string, number>;
  /** The greatest growth of workerd's memory within one of them. */
  readonly workerdGrowthBytes: number | undefined;
}

export const NO_USAGE: Usage = { counts: undefined, cpuMs: new Map(), workerdGrowthBytes: undefined };

/** Adds what a further run has used. */
export function addUsage(a: Usage, b: Usage): Usage {
  return {
    counts: b.counts && addCounts(a.counts ?? noCounts(), b.counts),
    cpuMs: new Map([...b.cpuMs].map(([part, ms]) => [part, (a.cpuMs.get(part) ?? 0) + ms])),
    workerdGrowthBytes: largest(a.workerdGrowthBytes, b.workerdGrowthBytes),
  };
}

/**
 * Carries out a run and looks at what it uses in Remex, what is tidied up after its end included.
 * @param quietMs for how long nothing must be counted for Remex to be at rest
 */
export async function observedRun(
  remex: LocalRemex,
  quietMs: number,
  run: () => Promise<LoopResult>,
): Promise<{ result: LoopResult; usage: Usage }> {
  const countsBefore = await remex.settledCounts(quietMs);
  const cpuBefore = remex.cpuMs();
  const { value: result, growthBytes } = await watchMemory(remex.workerPid, run);
  const countsAfter = await remex.settledCounts(quietMs);
  const cpuAfter = remex.cpuMs();
  return {
    result,
    usage: {
      counts: countsBefore && countsAfter && countsBetween(countsBefore, countsAfter),
      cpuMs: new Map([...cpuAfter].map(([part, ms]) => [part, ms - (cpuBefore.get(part) ?? 0)])),
      workerdGrowthBytes: growthBytes,
    },
  };
}

/** Carries out a run of a baseline, and looks at what it uses in its workerd, if it has one. */
export async function observedBaselineRun(
  pid: number | undefined,
  run: () => Promise<LoopResult>,
): Promise<{ result: LoopResult; usage: Usage }> {
  const cpuBefore = pid === undefined ? undefined : cpuMs(pid);
  const { value: result, growthBytes } = await watchMemory(pid, run);
  const cpuAfter = pid === undefined ? undefined : cpuMs(pid);
  const used = cpuBefore === undefined || cpuAfter === undefined ? [] : [[WORKER_PART, cpuAfter - cpuBefore] as const];
  return { result, usage: { counts: undefined, cpuMs: new Map(used), workerdGrowthBytes: growthBytes } };
}

/** By how much a process's memory rose, at most, during `work`; undefined where the system doesn't tell. */
async function watchMemory<T>(
  pid: number | undefined,
  work: () => Promise<T>,
): Promise<{ value: T; growthBytes: number | undefined }> {
  if (pid === undefined) return { value: await work(), growthBytes: undefined };
  resetPeakMemory(pid);
  const before = memoryUsage(pid);
  const value = await work();
  const after = memoryUsage(pid);
  return { value, growthBytes: before && after && Math.max(0, after.peakBytes - before.residentBytes) };
}

function largest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}
