// Attacks an endpoint with all that seeds make of each target, and stops at the first thing that must not happen.
//
//   npm run fuzz -- --seeds 100 [--first-seed N] [--target NAME]
import { Command, InvalidArgumentError, Option } from "commander";
import { attack } from "./attack.ts";
import { WORKER_TARGETS } from "./targets/all-targets.ts";
import { World } from "./world.ts";

const { firstSeed, seeds, target } = new Command("npm run fuzz --")
  .description(
    "Attacks an endpoint with all that seeds make of each target; stops at the first thing that must not happen.",
  )
  .option("--seeds <n>", "how many seeds", wholeNumber, 10)
  .option("--first-seed <n>", "the first one", wholeNumber, 1)
  .addOption(new Option("--target <name>", "only this one").choices(WORKER_TARGETS.map(({ name }) => name)))
  .parse()
  .opts<{ seeds: number; firstSeed: number; target?: string }>();

const targets = WORKER_TARGETS.filter(({ name }) => target === undefined || name === target);
const world = await World.start();
try {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
    for (const each of targets) {
      const startMs = Date.now();
      await attack(world, each, seed);
      process.stdout.write(`seed ${seed}: ${each.name}, ${each.cases} cases in ${Date.now() - startMs} ms\n`);
    }
  }
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await world.stop();
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("It must be a whole number.");
}
