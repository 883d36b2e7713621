import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import type { Baseline } from "./baseline.ts";

/** What `local-copy-process.ts` is told. */
export const localCopySchema = z.object({
  action: z.object({ arguments: z.array(z.string()), inputs: z.number(), inputBytes: z.number() }),
  operations: z.number(),
  slots: z.number(),
});

const copyTimes = z.object({ durationMs: z.number(), latenciesMs: z.array(z.number()) });

/**
 * The action of `execute-io` without anything remote: its inputs copied, its command run beside them, all of it removed.
 * @param directory for the copies
 * @param slots how many at once
 */
export function localCopy(bundles: string, directory: string, slots: number): Baseline {
  return {
    name: "local copy-and-run",
    operation: `inputs copied and the command spawned by Node, ${slots} at once`,
    async run({ local, name }, operations) {
      if (local === undefined) throw new Error(`${name} is nothing that runs locally`);
      const told = JSON.stringify({ action: local, operations, slots });
      const args = [join(bundles, "local-copy.js"), directory, told];
      const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 64 << 20 });
      const { durationMs, latenciesMs } = copyTimes.parse(JSON.parse(stdout));
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
