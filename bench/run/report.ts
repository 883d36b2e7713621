import type { Bill } from "../../src/billing/bill.ts";
import type { Counts } from "../../src/billing/counts.ts";
import type { Summary } from "../load/summary.ts";
import type { ScaleName } from "../scenarios/scenario.ts";

/** Everything that one run of the bench found out; it is what `--json` writes. */
export interface Report {
  /** Raised when a reader of the older form would misread the new one. */
  readonly formatVersion: 2;
  readonly startedAt: string;
  readonly machine: Machine;
  readonly settings: Settings;
  readonly scenarios: readonly ScenarioReport[];
  readonly skipped: readonly SkippedScenario[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  readonly workerd: string;
}

export interface Settings {
  /** `remex` where the bench started Remex itself. */
  readonly target: string;
  readonly instanceName: string;
  readonly scale: ScaleName;
  readonly runs: number;
  readonly slots: number;
  readonly r2LatencyMs: number;
  readonly objectLatencyMs: number;
}

export interface SkippedScenario {
  readonly name: string;
  readonly reason: string;
}

export interface ScenarioReport {
  readonly name: string;
  readonly operation: string;
  readonly concurrency: number;
  readonly operationsPerRun: number;
  /** Blob bytes that one operation moves. */
  readonly bytesPerOperation?: number | undefined;
  readonly result: Summary;
  /** Further figures by name; the median of the runs. */
  readonly figures: Readonly<Record<string, number>>;
  /** CPU time of each part for one operation, by the part's name. */
  readonly cpuMsPerOperation?: Readonly<Record<string, number>> | undefined;
  /** The most by which workerd's memory rose above what it was at the start of a run. */
  readonly workerdGrowthBytes?: number | undefined;
  readonly bill?: ScenarioBill | undefined;
  /** The same workload straight at the Worker. */
  readonly direct?: Summary | undefined;
  readonly baselines: readonly BaselineReport[];
}

export interface ScenarioBill extends Bill {
  /** What `perUnit` and "a million" are of. */
  readonly unit: "operation" | "blob";
  readonly units: number;
  readonly counts: Counts;
}

export interface BaselineReport {
  readonly name: string;
  readonly operation: string;
  readonly result: Summary;
  /** CPU time of its workerd for one operation, if it has one. */
  readonly cpuMsPerOperation?: number | undefined;
  readonly workerdGrowthBytes?: number | undefined;
}
