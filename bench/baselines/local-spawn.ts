import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { NOOP_COMMAND } from "../scenarios/execute-noop.ts";
import type { Baseline } from "./baseline.ts";

const spawnTimes = z.object({ durationMs: z.number(), latenciesMs: z.array(z.number()) });

/**
 * The command of `execute-noop`, spawned by a bare loop in a Node process of its own.
 * @param slots how many at once
 */
export function localSpawn(bundles: string, slots: number): Baseline {
  return {
    name: "local spawn",
    operation: `${NOOP_COMMAND}, spawned by Node, ${slots} at once`,
    async run(_scenario, operations) {
      const args = [join(bundles, "local-spawn.js"), NOOP_COMMAND, String(operations), String(slots)];
      const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 << 20 });
      const { durationMs, latenciesMs } = spawnTimes.parse(JSON.parse(stdout));
      return {
        durationMs,
        latenciesMs: Float64Array.from(latenciesMs),
        order: [...latenciesMs.keys()],
        errors: new Map(),
      };
    },
    stop: () => Promise.resolve(),
  };
}
