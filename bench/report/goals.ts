import type { BaselineName } from "../scenarios/scenario.ts";
import type { Report, ScenarioReport } from "../run/report.ts";
import { dollars, figure, mebibytes, percent } from "./figures.ts";

/** Something that Remex is to reach on the machine of the published figures (docs/performance.md). */
export interface Goal {
  readonly what: string;
  readonly goal: string;
  readonly measured: string;
  readonly reached: boolean;
}

const MEMORY_LIMIT_BYTES = 64 << 20;

/** Those goals that the report says something about. */
export function goalsOf({ scenarios }: Report): Goal[] {
  const by = (name: string, judge: (scenario: ScenarioReport) => Goal[]): Goal[] =>
    scenarios.filter((scenario) => scenario.name === name).flatMap(judge);
  const ofLimit = (scenario: ScenarioReport, least: number, limit?: BaselineName): Goal[] => {
    const limits = scenario.baselines.filter(({ name }) => limit === undefined || name === limit);
    const own = [[scenario.name, scenario.result] as const];
    if (scenario.direct !== undefined) own.push([`${scenario.name} by Connect`, scenario.direct]);
    return own.flatMap(([name, result]) =>
      limits.map((baseline) => {
        const share = result.operationsPerSecond.median / baseline.result.operationsPerSecond.median;
        return {
          what: `${name}: share of ${baseline.name}`,
          goal: `≥ ${percent(least)}`,
          measured: percent(share),
          reached: share >= least,
        };
      }),
    );
  };
  const bill = (scenario: ScenarioReport, what: string, most: number): Goal[] =>
    scenario.bill === undefined
      ? []
      : [
          {
            what: `${scenario.name}: for a million ${what}`,
            goal: `≤ ${dollars(most)}`,
            measured: dollars(scenario.bill.usdPerMillion),
            reached: scenario.bill.usdPerMillion <= most,
          },
        ];
  const growth = ({ name, workerdGrowthBytes }: ScenarioReport): Goal[] =>
    workerdGrowthBytes === undefined
      ? []
      : [
          {
            what: `${name}: growth of workerd's memory`,
            goal: `< ${mebibytes(MEMORY_LIMIT_BYTES)} MiB`,
            measured: `${mebibytes(workerdGrowthBytes)} MiB`,
            reached: workerdGrowthBytes < MEMORY_LIMIT_BYTES,
          },
        ];

  return [
    ...by("execute-noop", (scenario) => ofLimit(scenario, 0.5, "local spawn")),
    ...by("execute-io", (scenario) => ofLimit(scenario, 0.6)),
    ...by("ac-hit", ({ name, result }) => [
      {
        what: `${name}: a second`,
        goal: "≥ 1000",
        measured: figure(result.operationsPerSecond.median),
        reached: result.operationsPerSecond.median >= 1000,
      },
    ]),
    ...by("findmissing-10000", ({ name, result, baselines }) =>
      baselines.map((baseline) => {
        const times = result.latencyMs.p50 / baseline.result.latencyMs.p50;
        return { what: `${name}: times the bare query`, goal: "≤ 2", measured: figure(times), reached: times <= 2 };
      }),
    ),
    ...["stream-write-1GiB", "stream-read-1GiB"].flatMap((name) =>
      by(name, (scenario) => [...ofLimit(scenario, 0.8), ...growth(scenario)]),
    ),
    ...by("execute-noop", (scenario) => bill(scenario, "executed actions", 20)),
    ...by("cache-hit", (scenario) => bill(scenario, "cache hits", 3)),
  ];
}
