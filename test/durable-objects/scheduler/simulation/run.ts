// Drives the scheduler through worlds made of seeds, and stops at the first violation with its shortened history.
//
//   npm run simulate -- --seeds 1000 [--first-seed N] [--steps N]
import { parseArgs } from "node:util";
import { profileOf } from "./profile.ts";
import { shrink } from "./shrink.ts";
import { simulate, strict, wholeHistory } from "./simulate.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    "first-seed": { type: "string", default: "1" },
    steps: { type: "string", default: "2000" },
  },
});
const seeds = wholeNumber("seeds", values.seeds);
const firstSeed = wholeNumber("first-seed", values["first-seed"]);
const history = wholeHistory(wholeNumber("steps", values.steps));

let events = 0;
const startMs = Date.now();
for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
  try {
    events += simulate(seed, history);
  } catch (error) {
    print(
      `seed ${seed} (${profileOf(seed).name}): ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    const shortened = shrink(seed, history);
    print(`\nshortened to ${shortened.length} of ${history.length} steps:\n`);
    try {
      simulate(seed, shortened, print, strict(seed));
    } catch (shortenedError) {
      print(`\n${String(shortenedError)}`);
    }
    process.exit(1);
  }
}
const seconds = (Date.now() - startMs) / 1000;
print(`${seeds} seeds, ${seeds * history.length} steps, ${events} events in ${seconds.toFixed(1)} s: no violation`);

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  print(`--${name} must be a whole number, not "${text}"`);
  process.exit(1);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
