// Measures the scheduler's core alone, without storage and sockets: what an event costs, and what a queued action takes of
// memory, as queue, agents and platform groups grow.
//
//   npm run bench:scheduler [-- --json]
import { Command } from "commander";
import { table } from "../report/table.ts";
import type { Measurement } from "./measure.ts";
import { measureInOwnProcess } from "./own-process.ts";
import { ACTIONS, AGENTS, GROUPS, INVOCATIONS, QUEUED } from "./sizes.ts";

const { json } = new Command("npm run bench:scheduler --")
  .description(
    "Prints how many events a second the scheduler's core takes, and how the cost of one grows with its queue.",
  )
  .option("--json", "print a line of JSON for each measurement", false)
  .parse()
  .opts<{ json: boolean }>();
const rows: string[][] = [];
const growths: number[] = [];
for (const groups of GROUPS) {
  for (const agents of AGENTS) {
    const measurements = new Map<number, Measurement>();
    for (const queued of QUEUED) {
      const measurement = await measureInOwnProcess({ queued, agents, groups, invocations: INVOCATIONS }, ACTIONS);
      measurements.set(queued, measurement);
      if (json) print(JSON.stringify({ groups, agents, queued, ...measurement }));
      else process.stderr.write(".");
    }
    const all = [...measurements.values()];
    const growth = nsPerEvent(measurements.get(1_000_000)) / nsPerEvent(measurements.get(10_000));
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
  const sizes = QUEUED.map(thousands);
  const header = ["groups", "agents", ...sizes, "10k → 1000k", ...sizes];
  print(`\n\nthousands of events/s by actions queued, growth of the cost of an event, bytes per queued action\n`);
  print(table(header, rows));
  print(`\nthe cost of an event grows at most ${Math.max(...growths).toFixed(2)}× from 10,000 to 1,000,000 queued`);
}

function nsPerEvent(measurement: Measurement | undefined): number {
  return measurement?.nsPerEvent ?? NaN;
}

function thousands(value: number): string {
  return `${Math.round(value / 1000)}k`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
