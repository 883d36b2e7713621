import { join } from "node:path";
import { NOOP_COMMAND } from "../scenarios/execute-noop.ts";
import type { Baseline } from "./baseline.ts";
import { timedProcess } from "./timed-process.ts";

/**
 * The command of `execute-noop`, spawned by a bare loop in a Node process of its own.
 * @param slots how many at once
 */
export function localSpawn(bundles: string, slots: number): Baseline {
  return {
    name: "local spawn",
    operation: `${NOOP_COMMAND}, spawned by Node, ${slots} at once`,
    run: (_scenario, operations) =>
      timedProcess(join(bundles, "local-spawn.js"), [NOOP_COMMAND, String(operations), String(slots)]),
    stop: () => Promise.resolve(),
  };
}
