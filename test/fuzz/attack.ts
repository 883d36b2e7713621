import { mix, Random } from "../durable-objects/scheduler/simulation/random.ts";
import type { Target } from "./target.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

/**
 * Attacks a world with all that a seed makes of a target. The same seed does the same.
 * @throws Violation that names the target, the seed and the case
 */
export async function attack(world: World, target: Target, seed: number, cases = target.cases): Promise<void> {
  await world.bears(async () => {
    let next = 0;
    const oneAfterAnother = async (): Promise<void> => {
      for (let index = next++; index < cases; index = next++) {
        try {
          await target.run(new Random(mix(seed, index)), world);
        } catch (error) {
          const why = error instanceof Violation ? error.message : String(error instanceof Error ? error.stack : error);
          throw new Violation(`${target.name}, seed ${seed}, case ${index}: ${why}`);
        }
      }
    };
    await Promise.all(Array.from({ length: target.atOnce }, oneAfterAnother));
  });
}
