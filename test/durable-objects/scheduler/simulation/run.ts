// Drives the scheduler through worlds made of seeds, and stops at the first violation with its shortened history.
//
//   npm run simulate -- --seeds 1000 [--first-seed N] [--steps N]
import { Command, InvalidArgumentError } from "commander";
import { profileOf } from "./profile.ts";
import { shrink } from "./shrink.ts";
import { simulate, strict, wholeHistory } from "./simulate.ts";

const { seeds, firstSeed, steps } = new Command("npm run simulate --")
  .description(
    "Drives the scheduler through a random world for each seed and checks it after every step; stops at the first violation " +
      "with its shortened history.",
  )
  .option("--seeds <n>", "how many worlds", wholeNumber, 100)
  .option("--first-seed <n>", "the first one's seed", wholeNumber, 1)
  .option("--steps <n>", "steps in each", wholeNumber, 2000)
  .parse()
  .opts<{ seeds: number; firstSeed: number; steps: number }>();
const history = wholeHistory(steps);

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

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("It must be a whole number.");
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
