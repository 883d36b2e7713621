import { afterAll, beforeAll, test } from "vitest";
import { attack } from "./attack.ts";
import { WORKER_TARGETS } from "./targets/all-targets.ts";
import { World } from "./world.ts";

/** `npm run fuzz` takes others. */
const SEED = 1;

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterAll(() => world.stop());

test.each(WORKER_TARGETS)("$name", { timeout: 120_000 }, (target) => attack(world, target, SEED));
