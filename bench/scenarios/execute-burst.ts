import { randomUUID } from "node:crypto";
import { prepareActions } from "../fixtures/actions.ts";
import { execute } from "./execute.ts";
import { NOOP } from "./execute-noop.ts";
import type { Scale, Scenario } from "./scenario.ts";

/** The share of the later build among the first half of the actions that ended. */
export const LATER_BUILD_SHARE = "later build's share of the first half";

/**
 * Two builds queue a thousand actions each, all at once, the second one's after all of the first one's. The run's time is
 * how long it takes to drain them. A scheduler that is fair gives the later build half of the turns; one that is first
 * come, first served gives it none before the earlier build is done.
 */
export function executeBurst(scale: Scale): Scenario {
  const actions = scale.operations(2000);
  return {
    name: "execute-burst",
    operation: `Execute of ${actions} new actions at once, by two builds`,
    concurrency: actions,
    operations: actions,
    needs: ["execution"],
    async prepare(target) {
      const makeActions = await prepareActions(target, NOOP);
      const builds = [randomUUID(), randomUUID()] as const;
      return {
        operations: async (caller, operations) =>
          (await makeActions(operations)).map((actionDigest, i) =>
            execute(caller, {
              instanceName: target.instanceName,
              actionDigest,
              toolInvocationId: i < operations / 2 ? builds[0] : builds[1],
              cached: false,
            }),
          ),
        figures({ order }) {
          const half = order.slice(0, Math.floor(order.length / 2));
          const later = half.filter((position) => position >= order.length / 2);
          return { [LATER_BUILD_SHARE]: later.length / half.length };
        },
      };
    },
  };
}
