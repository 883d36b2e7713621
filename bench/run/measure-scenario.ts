import { Code, ConnectError } from "@connectrpc/connect";
import type { Baseline } from "../baselines/baseline.ts";
import { priceOf } from "../../src/billing/bill.ts";
import type { Caller } from "../calls/caller.ts";
import { closedLoop, codeName, type LoopResult, type Operation, WrongAnswer } from "../load/closed-loop.ts";
import { median } from "../load/quantile.ts";
import { summarize } from "../load/summary.ts";
import { type LocalRemex, WORKER_PART } from "../remex/local-remex.ts";
import type { Need, Scenario, Target, Workload } from "../scenarios/scenario.ts";
import { addUsage, NO_USAGE, observedBaselineRun, observedRun, type Usage } from "./observed-run.ts";
import type { BaselineReport, ScenarioBill, ScenarioReport, SkippedScenario } from "./report.ts";

/** What scenarios are measured with. */
export interface Session {
  readonly target: Target;
  readonly runs: number;
  /** A caller of the target with so many connections. */
  connect(connections: number): Caller;
  /** The Worker itself, where it is known. */
  readonly direct: Caller | undefined;
  /** Remex, if the bench has started it. */
  readonly remex: LocalRemex | undefined;
  /** How long completed operations are kept there, after which their rows are deleted. */
  readonly retentionMs: number;
  /** The scenario's baselines, started if need be; none if they are not to be measured. */
  baselines(scenario: Scenario): Promise<readonly Baseline[]>;
}

/** HTTP/2 servers commonly take 100 calls at once on a connection; further ones would wait in the client. */
const CALLS_PER_CONNECTION = 100;

/** How much of a run comes before the first one that counts. */
const WARM_UP_SHARE = 0.25;

/** Nothing is counted for so long before and after a run. */
const QUIET_MS = 300;

/**
 * Prepares a scenario, warms it up and runs it; run by run in turn with what it is compared with, so that what the
 * machine does beside hits them alike.
 */
export async function measureScenario(scenario: Scenario, session: Session): Promise<ScenarioReport | SkippedScenario> {
  const { name } = scenario;
  const unmet = scenario.needs?.find((need) => !isMet(need, session.target));
  if (unmet !== undefined) return { name, reason: `the server offers no ${unmet} for this instance` };
  let workload: Workload;
  try {
    workload = await scenario.prepare(session.target);
  } catch (error) {
    return { name, reason: `it could not be prepared: ${failure(error)}` };
  }
  const caller = session.connect(Math.ceil(scenario.concurrency / CALLS_PER_CONNECTION));
  try {
    return await measure(scenario, workload, caller, session);
  } finally {
    caller.close();
  }
}

async function measure(
  scenario: Scenario,
  workload: Workload,
  caller: Caller,
  session: Session,
): Promise<ScenarioReport | SkippedScenario> {
  const { remex } = session;
  const direct = scenario.direct === true ? session.direct : undefined;
  const baselines = (await session.baselines(scenario)).map((baseline) => new MeasuredBaseline(baseline, scenario));
  const quietMs = QUIET_MS + (scenario.needs?.includes("execution") === true ? 2 * session.retentionMs : 0);

  const run = (operations: readonly Operation[]): Promise<LoopResult> => closedLoop(operations, scenario.concurrency);

  const warmUp = Math.ceil(scenario.operations * WARM_UP_SHARE);
  const { errors } = await run(await workload.operations(caller, warmUp));
  if (errors.get(codeName(Code.Unimplemented))?.count === warmUp) {
    return { name: scenario.name, reason: "the server does not implement it" };
  }
  if (direct !== undefined) await run(await workload.operations(direct, warmUp));
  for (const baseline of baselines) await baseline.warmUp(warmUp);

  const results: LoopResult[] = [];
  const directResults: LoopResult[] = [];
  let usage = NO_USAGE;
  for (let i = 0; i < session.runs; i++) {
    const operations = await workload.operations(caller, scenario.operations);
    if (remex === undefined) {
      results.push(await run(operations));
    } else {
      const observed = await observedRun(remex, quietMs, () => run(operations));
      results.push(observed.result);
      usage = addUsage(usage, observed.usage);
    }
    if (direct !== undefined) directResults.push(await run(await workload.operations(direct, scenario.operations)));
    for (const baseline of baselines) await baseline.run();
  }

  return {
    name: scenario.name,
    operation: scenario.operation,
    concurrency: scenario.concurrency,
    operationsPerRun: scenario.operations,
    bytesPerOperation: scenario.bytes,
    result: summarize(results),
    figures: medianFigures(results.map((result) => workload.figures?.(result) ?? {})),
    cpuMsPerOperation: cpuPerOperation(usage, session.runs * scenario.operations),
    workerdGrowthBytes: usage.workerdGrowthBytes,
    bill: billOf(scenario, usage, session.runs * scenario.operations),
    direct: direct && summarize(directResults),
    baselines: baselines.map((baseline) => baseline.report()),
  };
}

/** A baseline, and what its runs beside a scenario's have found out. */
class MeasuredBaseline {
  readonly #baseline: Baseline;
  readonly #scenario: Scenario;
  readonly #results: LoopResult[] = [];
  #usage = NO_USAGE;

  constructor(baseline: Baseline, scenario: Scenario) {
    this.#baseline = baseline;
    this.#scenario = scenario;
  }

  async warmUp(operations: number): Promise<void> {
    await this.#baseline.run(this.#scenario, operations);
  }

  async run(): Promise<void> {
    const { operations } = this.#scenario;
    const observed = await observedBaselineRun(this.#baseline.pid, () =>
      this.#baseline.run(this.#scenario, operations),
    );
    this.#results.push(observed.result);
    this.#usage = addUsage(this.#usage, observed.usage);
  }

  report(): BaselineReport {
    const { name, operation } = this.#baseline;
    return {
      name,
      operation,
      result: summarize(this.#results),
      cpuMsPerOperation: cpuPerOperation(this.#usage, this.#results.length * this.#scenario.operations)?.[WORKER_PART],
      workerdGrowthBytes: this.#usage.workerdGrowthBytes,
    };
  }
}

function isMet(need: Need, { capabilities }: Target): boolean {
  switch (need) {
    case "execution":
      return capabilities.executionCapabilities?.execEnabled === true;
    case "action cache updates":
      return capabilities.cacheCapabilities?.actionCacheUpdateCapabilities?.updateEnabled === true;
  }
}

/** @throws what is neither an answer of the server nor a lack of one. */
function failure(error: unknown): string {
  if (error instanceof ConnectError) return `${codeName(error.code)}: ${error.rawMessage}`;
  if (error instanceof WrongAnswer) return error.message;
  throw error;
}

function medianFigures(runs: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = Object.keys(runs[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(runs.map((figures) => figures[name] ?? NaN))]));
}

function cpuPerOperation({ cpuMs }: Usage, operations: number): Record<string, number> | undefined {
  if (cpuMs.size === 0) return undefined;
  return Object.fromEntries([...cpuMs].map(([part, ms]) => [part, ms / operations]));
}

function billOf({ blobs }: Scenario, { counts, cpuMs }: Usage, operations: number): ScenarioBill | undefined {
  if (counts === undefined) return undefined;
  const units = operations * (blobs ?? 1);
  // All that workerd uses, the objects and what plays R2 included: more than what the platform calls the Worker's CPU time.
  const bill = priceOf(counts, cpuMs.get(WORKER_PART), units);
  return { ...bill, unit: blobs === undefined ? "operation" : "blob", units, counts };
}
