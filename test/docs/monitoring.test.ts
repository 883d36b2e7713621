import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startWorker, type TestWorker } from "../worker.ts";

let worker: TestWorker;
/** The names of the time series that `/metrics` has, or can have. */
let series: ReadonlySet<string>;

beforeAll(async () => {
  worker = await startWorker();
  const text = await (await fetch(`${worker.url}/metrics`, { headers: { connection: "close" } })).text();
  const names = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = "", type]) =>
    type === "histogram" ? ["bucket", "sum", "count"].map((part) => `${name}_${part}`) : [name],
  );
  series = new Set(names);
});

afterAll(() => worker.dispose());

function read(file: string): string {
  return readFileSync(new URL(`../../docs/monitoring/${file}`, import.meta.url), "utf8");
}

describe.each(["grafana-dashboard.json", "prometheus-alerts.yaml"])("docs/monitoring/%s", (file) => {
  it("names metrics that exist", () => {
    const named = new Set(read(file).match(/\bremex_\w+/g));
    expect(named.size).toBeGreaterThan(5);
    expect([...named].filter((name) => !series.has(name))).toEqual([]);
  });
});

const dashboardSchema = z.object({
  panels: z.array(z.object({ gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }) })),
});

it("the dashboard's panels don't overlap", () => {
  const { panels } = dashboardSchema.parse(JSON.parse(read("grafana-dashboard.json")));
  const cells = panels.flatMap(({ gridPos: { h, w, x, y } }) =>
    Array.from({ length: h * w }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(Math.max(...panels.map(({ gridPos: { w, x } }) => x + w))).toBeLessThanOrEqual(24);
});
