import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { allScenarios } from "../../bench/scenarios/all-scenarios.ts";
import { SCALES } from "../../bench/scenarios/scenario.ts";
import { bundleBench, runBench } from "./bench-process.ts";

const summary = z.object({
  runs: z.number(),
  succeeded: z.number(),
  errors: z.record(z.string(), z.unknown()),
  latencyMs: z.object({ p50: z.number(), p90: z.number(), p99: z.number(), max: z.number() }),
});

/** Of the report, what is looked at here. */
const reportSchema = z.object({
  formatVersion: z.literal(2),
  scenarios: z.array(
    z.object({
      name: z.string(),
      operationsPerRun: z.number(),
      result: summary,
      direct: summary.optional(),
      baselines: z.array(z.object({ name: z.string(), result: summary })),
      bill: z.object({ usdPerMillion: z.number(), counts: z.record(z.string(), z.number()) }).optional(),
    }),
  ),
  skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
});
type ScenarioReport = z.infer<typeof reportSchema>["scenarios"][number];

const figuresSchema = z.object({
  scenarios: z.array(z.object({ name: z.string(), result: summary, figures: z.record(z.string(), z.number()) })),
});

describe("the bench's options", () => {
  beforeAll(bundleBench, 60_000);

  it("put R2 and the objects at a distance", async () => {
    const far = ["--r2-latency-ms", "150", "--object-latency-ms", "100"];
    const scenarios = ["ac-miss", "stream-write-1MiB"];
    const { stdout } = await runBench(
      "--scale",
      "tiny",
      "--runs",
      "1",
      "--no-baselines",
      ...far,
      "--json",
      "-",
      ...scenarios,
    );
    const found = figuresSchema.parse(JSON.parse(stdout)).scenarios;
    const [miss, write] = scenarios.map((name) => found.find((scenario) => scenario.name === name));
    // One call of an object; then one or more of them, and an R2 operation between.
    expect(miss?.result.latencyMs.p50).toBeGreaterThanOrEqual(100);
    expect(write?.result.latencyMs.p50).toBeGreaterThanOrEqual(100 + 150);
  }, 60_000);

  it("leave the bill out, write profiles, and show it all as tables", async () => {
    const profiles = await mkdtemp(join(tmpdir(), "remex-profiles-"));
    try {
      const options = ["--scale", "tiny", "--runs", "1", "--no-baselines", "--no-bill", "--cpu-prof", profiles];
      const { exitCode, stdout, stderr } = await runBench(...options, "capabilities", "execute-burst");
      expect(exitCode, stderr).toBe(0);
      expect(stdout).toMatch(/^capabilities +\d+ +\d+ /m);
      expect(stdout).toMatch(/^execute-burst: .*later build.*: \d+(\.\d+)?%$/m);
      expect(stdout).toMatch(/^execute-burst: drained in [\d.]+ s$/m);
      expect(stdout).not.toContain("The bill");
      const parts = await readdir(profiles);
      expect(parts.sort()).toEqual(["agent.cpuprofile", "bridge.cpuprofile", "workerd.cpuprofile"]);
    } finally {
      await rm(profiles, { recursive: true });
    }
  }, 60_000);
});

describe("the bench at its tiny scale, on the Remex that it starts", () => {
  const names = allScenarios(SCALES.tiny, 8).map(({ name }) => name);
  let exitCode: number;
  let output: string;
  let report: z.infer<typeof reportSchema>;

  beforeAll(async () => {
    await bundleBench();
    const run = await runBench("--scale", "tiny", "--runs", "1", "--json", "-");
    ({ exitCode, stderr: output } = run);
    report = reportSchema.parse(JSON.parse(run.stdout));
  }, 120_000);

  const scenario = (name: string): ScenarioReport => {
    const found = report.scenarios.find((each) => each.name === name);
    if (found === undefined) throw new Error(`${name} is not in the report`);
    return found;
  };

  it("runs every scenario", () => {
    expect(report.skipped).toEqual([]);
    expect(report.scenarios.map(({ name }) => name)).toEqual(names);
  });

  it.each(names)("succeeds at %s", (name) => {
    const { result, direct, baselines, operationsPerRun } = scenario(name);

    for (const each of [result, direct, ...baselines.map((baseline) => baseline.result)]) {
      if (each === undefined) continue;
      expect(each, output).toMatchObject({ errors: {}, succeeded: operationsPerRun });
      expect(each.latencyMs.max).toBeGreaterThanOrEqual(each.latencyMs.p50);
    }
    expect(exitCode).toBe(0);
  });

  it("holds scenarios against the physical limit", () => {
    const baselines = report.scenarios.map(({ name, baselines }) => [name, baselines.map((each) => each.name)]);

    expect(Object.fromEntries(baselines)).toMatchObject({
      "execute-noop": ["local spawn", "bare dispatch"],
      "execute-io": ["local copy-and-run"],
      "findmissing-10000": ["bare query"],
      "ac-hit": [],
      "stream-write-1MiB": ["raw R2 put"],
      "stream-write-1GiB": ["raw R2 put", "raw R2 multipart put"],
      "stream-read-1GiB": ["raw R2 get", "raw R2 multipart get"],
    });
    expect(scenario("ac-hit").direct).toBeDefined();
  });

  it("bills every scenario", () => {
    for (const { name, bill } of report.scenarios) {
      expect(bill?.usdPerMillion, name).toBeGreaterThan(0);
      expect(bill?.counts["workerRequests"], name).toBeGreaterThan(0);
    }
    // A request of its own, and an R2 object.
    const { bill, operationsPerRun } = scenario("stream-write-1MiB");
    expect(bill?.counts).toMatchObject({ workerRequests: operationsPerRun, r2ClassA: operationsPerRun });
    // Small blobs are rows.
    for (const name of ["batch-update-100x1KiB", "batch-read-100x1KiB"]) {
      expect(scenario(name).bill?.counts, name).toMatchObject({ r2ClassA: 0, r2ClassB: 0 });
    }
  });
});
