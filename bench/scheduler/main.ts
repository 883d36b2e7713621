// Measures the scheduler's core alone, without storage and sockets: what an event costs, and what a queued action takes of
// memory, as queue, agents and platform groups grow.
//
//   npm run bench:scheduler [-- --json] [--scale tiny]
import { Command, Option } from "commander";
import { table } from "../report/table.ts";
import type { Measurement } from "./measure.ts";
import { measureInOwnProcess } from "./own-process.ts";
import { GROWTH_FROM, INVOCATIONS, SIZES, type Sizes } from "./sizes.ts";

const { json, scale } = new Command("npm run bench:scheduler --")
  .description(
    "Prints how many events a second the scheduler's core takes, and how the cost of one grows with its queue.",
  )
  .option("--json", "print a line of JSON for each measurement", false)
  .addOption(
    new Option("--scale <scale>", "tiny shows in seconds that it works").choices(["full", "tiny"]).default("full"),
  )
  .parse()
  .opts<{ json: boolean; scale: keyof typeof SIZES }>();
const { actions, agents: agentCounts, groups: groupCounts, queued: queuedCounts }: Sizes = SIZES[scale];
const most = Math.max(...queuedCounts);
const from = queuedCounts.find((queued) => queued >= GROWTH_FROM) ?? Math.min(...queuedCounts);
const rows: string[][] = [];
const growths: number[] = [];
for (const groups of groupCounts) {
  for (const agents of agentCounts) {
    const measurements = new Map<number, Measurement>();
    for (const queued of queuedCounts) {
      const measurement = await measureInOwnProcess({ queued, agents, groups, invocations: INVOCATIONS }, actions);
      measurements.set(queued, measurement);
      if (json) print(JSON.stringify({ groups, agents, queued, ...measurement }));
      else process.stderr.write(".");
    }
    const all = [...measurements.values()];
    const growth = nsPerEvent(measurements.get(most)) / nsPerEvent(measurements.get(from));
    growths.push(growth);
    rows.push([
      String(groups),
      String(agents),
      ...all.map((measurement) => thousands(1e9 / nsPerEvent(measurement))),
      `${growth.toFixed(2)}×`,
      ...all.map(({ bytesPerQueued }) => bytesPerQueued.toFixed(0)),
    ]);
  }
}
if (!json) {
  const sizes = queuedCounts.map(count);
  const header = ["groups", "agents", ...sizes, `${count(from)} → ${count(most)}`, ...sizes];
  print(`\n\nthousands of events/s by actions queued, growth of the cost of an event, bytes per queued action\n`);
  print(table(header, rows));
  print(`\nthe cost of an event grows at most ${Math.max(...growths).toFixed(2)}× from ${from} to ${most} queued`);
}

function nsPerEvent(measurement: Measurement | undefined): number {
  return measurement?.nsPerEvent ?? NaN;
}

function count(value: number): string {
  return value < 1000 ? String(value) : thousands(value);
}

function thousands(value: number): string {
  return `${Math.round(value / 1000)}k`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
