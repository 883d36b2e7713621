import type { Summary } from "../load/summary.ts";
import type { Report, ScenarioReport } from "../run/report.ts";

/** A scenario held against something else that was measured in the same run. Ratios can be compared between machines. */
export interface Ratio {
  /** Its name; with "by Connect" where it is run straight at the Worker. */
  readonly scenario: string;
  readonly against: string;
  /** What the two figures are: a rate, where more is better, or a time, where less is. */
  readonly kind: "rate" | "time";
  readonly unit: "ops/s" | "MiB/s" | "ms p50";
  readonly own: number;
  readonly other: number;
  /** `own` divided by `other`. */
  readonly ratio: number;
}

export function ratiosOf({ scenarios }: Report): Ratio[] {
  return scenarios.flatMap((scenario) => {
    const { baselines, direct, name, result } = scenario;
    const toBaselines = (what: string, own: Summary) =>
      baselines.map((other) => compare(scenario, what, own, other.name, other.result, other.name === "bare query"));
    return [
      ...toBaselines(name, result),
      ...(direct === undefined
        ? []
        : [
            compare(scenario, name, result, "Connect to the Worker", direct, false),
            ...toBaselines(`${name} by Connect`, direct),
          ]),
    ];
  });
}

function compare(
  scenario: ScenarioReport,
  name: string,
  result: Summary,
  against: string,
  other: Summary,
  byTime: boolean,
): Ratio {
  const { bytesPerOperation, concurrency } = scenario;
  if (byTime || (concurrency === 1 && bytesPerOperation === undefined)) {
    return ratio(name, against, "time", "ms p50", result.latencyMs.p50, other.latencyMs.p50);
  }
  const [own, others] = [result.operationsPerSecond.median, other.operationsPerSecond.median];
  if (bytesPerOperation === undefined || bytesPerOperation < 1 << 20) {
    return ratio(name, against, "rate", "ops/s", own, others);
  }
  const mib = bytesPerOperation / 2 ** 20;
  return ratio(name, against, "rate", "MiB/s", own * mib, others * mib);
}

function ratio(
  scenario: string,
  against: string,
  kind: Ratio["kind"],
  unit: Ratio["unit"],
  own: number,
  other: number,
): Ratio {
  return { scenario, against, kind, unit, own, other, ratio: own / other };
}
