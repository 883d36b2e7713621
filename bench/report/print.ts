import { PRICED_ITEMS } from "../../src/billing/bill.ts";
import type { Report, ScenarioReport } from "../run/report.ts";
import { dollars, figure, mebibytes, percent } from "./figures.ts";
import { goalsOf } from "./goals.ts";
import { ratiosOf } from "./ratios.ts";
import { table } from "./table.ts";

/** The report as tables for a terminal. */
export function printReport(report: Report): string {
  const sections = [
    heading(report),
    speed(report),
    ratios(report),
    cpu(report),
    bill(report),
    ...(report.settings.scale === "full" ? [goals(report)] : []),
    skipped(report),
    errors(report),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

function heading({ machine, settings, startedAt }: Report): string {
  const { target, instanceName, scale, runs, slots, r2LatencyMs, objectLatencyMs } = settings;
  return [
    `${target === "remex" ? "Remex on this machine" : target}, instance "${instanceName}", ${startedAt}`,
    `${machine.cpu}, ${machine.cores} cores, ${figure(machine.memoryBytes / 2 ** 30)} GiB, ${machine.system}, ` +
      `Node ${machine.node}, workerd ${machine.workerd}`,
    `scale ${scale}, ${runs} runs after a warm-up, ${slots} slots, R2 ${r2LatencyMs} ms away, objects ${objectLatencyMs} ms away`,
  ].join("\n");
}

function speed({ scenarios }: Report): string {
  if (scenarios.length === 0) return "";
  return titled(
    "Speed (closed loop; latencies in ms over all runs, ops/s the median run and the slowest to the fastest)",
    table(
      ["scenario", "at once", "ops", "ops/s", "min-max", "MiB/s", "p50", "p90", "p99", "max", "errors"],
      scenarios.map(({ name, concurrency, operationsPerRun, bytesPerOperation, result }) => {
        const { operationsPerSecond, latencyMs } = result;
        return [
          name,
          String(concurrency),
          String(operationsPerRun),
          figure(operationsPerSecond.median),
          `${figure(operationsPerSecond.min)}-${figure(operationsPerSecond.max)}`,
          bytesPerOperation === undefined ? "" : mebibytes(operationsPerSecond.median * bytesPerOperation),
          ...[latencyMs.p50, latencyMs.p90, latencyMs.p99, latencyMs.max].map(figure),
          String(Object.values(result.errors).reduce((sum, { count }) => sum + count, 0)),
        ];
      }),
    ),
    scenarios
      .flatMap(({ name, concurrency, operationsPerRun, figures, result }) => [
        ...Object.entries(figures).map(([what, share]) => `${name}: ${what}: ${percent(share)}`),
        // All of it was there at once.
        ...(Object.keys(figures).length > 0 && concurrency >= operationsPerRun
          ? [`${name}: drained in ${figure(result.durationMs.median / 1000)} s`]
          : []),
      ])
      .join("\n"),
  );
}

function ratios(report: Report): string {
  const found = ratiosOf(report);
  if (found.length === 0) return "";
  return titled(
    "Ratios, each measured in the same run",
    table(
      ["scenario", "against", "unit", "own", "other", "ratio"],
      found.map(({ scenario, against, kind, unit, own, other, ratio }) => [
        scenario,
        against,
        unit,
        figure(own),
        figure(other),
        kind === "rate" ? percent(ratio) : `${figure(ratio)}x`,
      ]),
    ),
  );
}

function cpu({ scenarios }: Report): string {
  const measured = scenarios.filter(({ cpuMsPerOperation }) => cpuMsPerOperation !== undefined);
  const parts = Object.keys(measured[0]?.cpuMsPerOperation ?? {});
  if (parts.length === 0) return "";
  return titled(
    "CPU time for one operation in ms, and the most that workerd's memory grew by in a run in MiB, beside those of bare R2",
    table(
      ["scenario", ...parts, "raw", "memory", "raw"],
      measured.map(({ name, cpuMsPerOperation, workerdGrowthBytes, baselines: [baseline] }) => [
        name,
        ...parts.map((part) => figure(cpuMsPerOperation?.[part] ?? NaN)),
        optional(baseline?.cpuMsPerOperation, figure),
        optional(workerdGrowthBytes, mebibytes),
        optional(baseline?.workerdGrowthBytes, mebibytes),
      ]),
    ),
  );
}

function optional(value: number | undefined, format: (value: number) => string): string {
  return value === undefined ? "" : format(value);
}

function bill({ scenarios }: Report): string {
  const billed = scenarios.filter((scenario) => scenario.bill !== undefined);
  if (billed.length === 0) return "";
  return titled(
    "The bill: what the platform counts for one operation (of batches and streams: one blob), and dollars for a million",
    table(
      ["scenario", "of", ...PRICED_ITEMS, "$/million", "kept, $/month"],
      billed.map(({ name, bill: of }) => [
        name,
        of?.unit ?? "",
        ...PRICED_ITEMS.map((item) => figure(of?.lines.find((line) => line.item === item)?.perUnit ?? NaN)),
        dollars(of?.usdPerMillion ?? NaN),
        dollars(of?.storageUsdPerMillionMonths ?? NaN),
      ]),
    ),
    summary(scenarios),
  );
}

/** The bill of what people do, rather than of calls. */
function summary(scenarios: readonly ScenarioReport[]): string {
  const lines = [
    ["execute-noop", "actions executed"],
    ["cache-hit", "cache hits of three outputs of 8 KiB"],
    ["batch-update-100x1KiB", "blobs of 1 KiB written in batches"],
    ["stream-write-1KiB", "blobs of 1 KiB written one by one"],
    ["stream-write-1MiB", "blobs of 1 MiB written"],
    ["stream-read-1MiB", "blobs of 1 MiB read"],
  ] as const;
  return lines
    .flatMap(([name, what]) => {
      const found = scenarios.find((scenario) => scenario.name === name)?.bill;
      return found === undefined ? [] : [`a million ${what}: ${dollars(found.usdPerMillion)}`];
    })
    .join("\n");
}

function goals(report: Report): string {
  const found = report.settings.target === "remex" ? goalsOf(report) : [];
  if (found.length === 0) return "";
  return titled(
    "Goals",
    table(
      ["what", "goal", "measured", ""],
      found.map(({ what, goal, measured, reached }) => [what, goal, measured, reached ? "reached" : "MISSED"]),
    ),
  );
}

function skipped(report: Report): string {
  return report.skipped.map(({ name, reason }) => `SKIPPED ${name}: ${reason}`).join("\n");
}

function errors({ scenarios }: Report): string {
  return scenarios
    .flatMap(
      ({ name, result, direct, baselines }) =>
        [
          [name, result],
          [`${name} direct`, direct],
          ...baselines.map((baseline) => [`${name} ${baseline.name}`, baseline.result] as const),
        ] as const,
    )
    .flatMap(([name, result]) =>
      Object.entries(result?.errors ?? {}).map(
        ([code, { count, example }]) => `ERRORS ${name}: ${count} times ${code}, for example: ${example}`,
      ),
    )
    .join("\n");
}

function titled(title: string, ...blocks: readonly string[]): string {
  return [title, ...blocks.filter((block) => block !== "")].join("\n\n");
}
