import { expect, test } from "vitest";
import type { Summary } from "../../../bench/load/summary.ts";
import { printReport } from "../../../bench/report/print.ts";
import type { Report, ScenarioReport } from "../../../bench/run/report.ts";
import { priceOf } from "../../../src/billing/bill.ts";
import { noCounts } from "../../../src/billing/counts.ts";

function summary(operationsPerSecond: number, p50: number): Summary {
  const spread = { median: operationsPerSecond, min: operationsPerSecond, max: operationsPerSecond };
  return {
    runs: 3,
    succeeded: 300,
    durationMs: { median: 4000, min: 4000, max: 4000 },
    operationsPerSecond: spread,
    latencyMs: { p50, p90: p50, p99: p50, max: p50 },
    errors: {},
  };
}

function scenario(name: string, more: Partial<ScenarioReport>): ScenarioReport {
  return {
    name,
    operation: "",
    concurrency: 16,
    operationsPerRun: 100,
    figures: {},
    baselines: [],
    result: summary(100, 10),
    ...more,
  };
}

const baseline = (name: string, result: Summary) => ({ name, operation: "", result });

/** What a line of the tables says, with single spaces. */
function lineOf(text: string, start: string): string | undefined {
  return text
    .split("\n")
    .map((line) => line.trim().replace(/\s+/g, " "))
    .find((line) => line.startsWith(start));
}

const report = (scenarios: ScenarioReport[]): Report => ({
  formatVersion: 2,
  startedAt: "2026-11-25T12:00:00Z",
  machine: { cpu: "A", cores: 2, memoryBytes: 2 ** 34, system: "Linux", node: "24", workerd: "1" },
  settings: {
    target: "remex",
    instanceName: "main",
    scale: "full",
    runs: 3,
    slots: 8,
    r2LatencyMs: 0,
    objectLatencyMs: 0,
  },
  scenarios,
  skipped: [{ name: "get-tree", reason: "the server has none" }],
});

test("the tables hold each figure against its limit, and say which goals are reached", () => {
  const counts = { ...noCounts(), workerRequests: 100, rowsWritten: 500 };
  const text = printReport(
    report([
      scenario("execute-noop", {
        baselines: [baseline("local spawn", summary(200, 5))],
        bill: { ...priceOf(counts, 400, 100), unit: "operation", units: 100, counts },
        cpuMsPerOperation: { bridge: 1.5, workerd: 4.25 },
      }),
      scenario("ac-hit", { direct: summary(400, 4), result: summary(900, 5) }),
      scenario("findmissing-10000", {
        concurrency: 1,
        result: summary(50, 20),
        baselines: [baseline("bare query", summary(125, 8))],
      }),
      scenario("stream-write-1GiB", {
        bytesPerOperation: 2 ** 30,
        result: summary(0.5, 2000),
        baselines: [baseline("raw R2 put", summary(1, 1000)), baseline("raw R2 multipart put", summary(0.75, 1000))],
        direct: summary(0.9, 1000),
        workerdGrowthBytes: 100 << 20,
      }),
      scenario("execute-burst", { concurrency: 100, figures: { "of the later build": 0.5 } }),
    ]),
  );
  expect(lineOf(text, "execute-noop local spawn")).toBe("execute-noop local spawn ops/s 100 200 50%");
  expect(lineOf(text, "ac-hit Connect")).toBe("ac-hit Connect to the Worker ops/s 900 400 225%");
  expect(lineOf(text, "findmissing-10000 bare")).toBe("findmissing-10000 bare query ms p50 20 8 2.5x");
  expect(lineOf(text, "stream-write-1GiB raw")).toBe("stream-write-1GiB raw R2 put MiB/s 512 1024 50%");
  expect(lineOf(text, "execute-noop 1.5")).toBe("execute-noop 1.5 4.25");
  expect(lineOf(text, "execute-noop: share")).toBe("execute-noop: share of local spawn ≥ 50% 50% reached");
  expect(lineOf(text, "ac-hit: a second")).toBe("ac-hit: a second ≥ 1000 900 MISSED");
  expect(lineOf(text, "findmissing-10000: times")).toBe("findmissing-10000: times the bare query ≤ 2 2.5 MISSED");
  expect(lineOf(text, "stream-write-1GiB raw R2 m")).toBe("stream-write-1GiB raw R2 multipart put MiB/s 512 768 66.7%");
  expect(lineOf(text, "stream-write-1GiB by Connect raw R2 m")).toBe(
    "stream-write-1GiB by Connect raw R2 multipart put MiB/s 922 768 120%",
  );
  expect(lineOf(text, "stream-write-1GiB: share")).toBe("stream-write-1GiB: share of raw R2 put ≥ 80% 50% MISSED");
  expect(lineOf(text, "stream-write-1GiB by Connect: share")).toBe(
    "stream-write-1GiB by Connect: share of raw R2 put ≥ 80% 90% reached",
  );
  expect(lineOf(text, "stream-write-1GiB: growth")).toMatch(/100 MiB MISSED$/);
  expect(lineOf(text, "execute-noop: for a million")).toMatch(
    /^execute-noop: for a million executed actions ≤ \$20 \$\d.* reached$/,
  );
  expect(lineOf(text, "a million actions executed")).toMatch(/^a million actions executed: \$\d/);
  expect(text).toContain("execute-burst: of the later build: 50%\nexecute-burst: drained in 4 s");
  expect(text).toContain("SKIPPED get-tree: the server has none");
});

test("only what was queued at once is drained, and a tiny run says nothing of goals", () => {
  const { settings, ...rest } = report([
    scenario("execute-tree", { figures: { "of the first time": 0.1 } }),
    scenario("ac-hit", {}),
  ]);
  const text = printReport({ ...rest, settings: { ...settings, scale: "tiny" } });
  expect(text).toContain("execute-tree: of the first time: 10%");
  expect(text).not.toContain("drained");
  expect(text).not.toContain("Goals");
});
