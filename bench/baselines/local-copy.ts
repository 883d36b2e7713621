import { join } from "node:path";
import { z } from "zod";
import type { Baseline } from "./baseline.ts";
import { timedProcess } from "./timed-process.ts";

/** What `local-copy-process.ts` is told. */
export const localCopySchema = z.object({
  action: z.object({ arguments: z.array(z.string()), inputs: z.number(), inputBytes: z.number() }),
  operations: z.number(),
  slots: z.number(),
});

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
      return timedProcess(join(bundles, "local-copy.js"), [directory, told]);
    },
    stop: () => Promise.resolve(),
  };
}
