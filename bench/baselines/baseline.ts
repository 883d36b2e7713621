import type { LoopResult } from "../load/closed-loop.ts";
import type { BaselineName, Scenario } from "../scenarios/scenario.ts";

/** The physical limit of a scenario, measured in the same run. */
export interface Baseline {
  readonly name: BaselineName;
  /** What it does, for people. */
  readonly operation: string;
  /** As many operations at the same concurrency as the scenario. */
  run(scenario: Scenario, operations: number): Promise<LoopResult>;
  /** The process that does the work, if it is always the same and the system tells. */
  readonly pid?: number | undefined;
  stop(): Promise<void>;
}
