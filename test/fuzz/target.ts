import type { Random } from "../durable-objects/scheduler/simulation/random.ts";
import type { World } from "./world.ts";

/** One kind of hostility. */
export interface Target {
  readonly name: string;
  /** How often a seed does it in CI; a longer run does it more often. */
  readonly cases: number;
  /** How many are under way at once. */
  readonly atOnce: number;
  /**
   * Does it once, as the numbers say, and throws a Violation for what must not happen.
   * @returns what was done, for whoever looks into a later failure
   */
  run(random: Random, world: World): Promise<string>;
}
