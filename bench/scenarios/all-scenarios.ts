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
import { executeTree } from "./execute-tree.ts";
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
    executeTree(scale),
    executeBurst(scale),
  ];
}

/** Whether a scenario's name is `asked`, or belongs to the family of that name: `findmissing` is all three of them. */
export function isNamed(name: string, asked: string): boolean {
  return name === asked || name.startsWith(`${asked}-`);
}
