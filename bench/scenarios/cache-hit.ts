import { storeActionResults } from "./action-results.ts";
import { getOf } from "./ac-hit.ts";
import type { Scale, Scenario } from "./scenario.ts";
import { readOf } from "./stream-read.ts";

/** How many different results are asked for in turn. */
const RESULTS = 100;

/** What a build does for an action that was cached: asks for the result and fetches its outputs. */
export function cacheHit(scale: Scale): Scenario {
  return {
    name: "cache-hit",
    operation: "GetActionResult, then 3 ByteStream.Reads of 8 KiB at once",
    concurrency: 8,
    operations: scale.operations(1500),
    needs: ["action cache updates"],
    async prepare(target) {
      const actions = await storeActionResults(target, scale.count(RESULTS));
      const hits = actions.map((action) => ({
        get: getOf(target.instanceName, action),
        reads: action.outputs.map((output) => readOf(target.instanceName, output)),
      }));
      return {
        operations: (caller, operations) =>
          Array.from({ length: operations }, (_, i) => async () => {
            const hit = hits[i % hits.length];
            if (hit === undefined) throw new Error("there is a result for each operation");
            const checkResult = await hit.get(caller)();
            const checkOutputs = await Promise.all(hit.reads.map((read) => read(caller)()));
            return () => {
              checkResult?.();
              for (const check of checkOutputs) check?.();
            };
          }),
      };
    },
  };
}
