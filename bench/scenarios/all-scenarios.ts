import { acHit } from "./ac-hit.ts";
import { acMiss } from "./ac-miss.ts";
import { batchRead } from "./batch-read.ts";
import { BATCH_SHAPES } from "./batch-shape.ts";
import { batchUpdate } from "./batch-update.ts";
import { cacheHit } from "./cache-hit.ts";
import { capabilities } from "./capabilities.ts";
import { executeBurst } from "./execute-burst.ts";
import { executeHit } from "./execute-hit.ts";
import { executeIo } from "./execute-io.ts";
import { executeNoop } from "./execute-noop.ts";
import { findMissing } from "./findmissing.ts";
import { getTree } from "./get-tree.ts";
import type { Scale, Scenario } from "./scenario.ts";
import { streamRead } from "./stream-read.ts";
import { STREAM_SIZES } from "./stream-size.ts";
import { streamWrite } from "./stream-write.ts";

/**
 * Everything that the bench can do, in the order in which it does it.
 * @param slots how many actions the server's agents run at once
 */
export function allScenarios(scale: Scale, slots: number): Scenario[] {
  return [
    capabilities(scale),
    ...[1, 100, 10_000].map((count) => findMissing(scale, count)),
    ...BATCH_SHAPES.map((shape) => batchUpdate(scale, shape)),
    ...BATCH_SHAPES.map((shape) => batchRead(scale, shape)),
    ...STREAM_SIZES.map((size) => streamWrite(scale, size)),
    ...STREAM_SIZES.map((size) => streamRead(scale, size)),
    acHit(scale),
    acMiss(scale),
    cacheHit(scale),
    getTree(scale),
    executeHit(scale),
    executeNoop(scale, slots),
    executeIo(scale, slots),
    executeBurst(scale),
  ];
}

/**
 * Those whose name is, or begins with, one of `names` (`findmissing` is all three); all of them if there are no names.
 * @throws Error naming a name that fits none.
 */
export function selectScenarios(scenarios: readonly Scenario[], names: readonly string[]): Scenario[] {
  const fits = (scenario: Scenario, name: string): boolean =>
    scenario.name === name || scenario.name.startsWith(`${name}-`);
  for (const name of names) {
    if (!scenarios.some((scenario) => fits(scenario, name))) {
      throw new Error(`there is no scenario ${name}; there are: ${scenarios.map((each) => each.name).join(", ")}`);
    }
  }
  return names.length === 0
    ? [...scenarios]
    : scenarios.filter((scenario) => names.some((name) => fits(scenario, name)));
}
