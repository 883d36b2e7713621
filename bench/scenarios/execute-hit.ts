import { randomUUID } from "node:crypto";
import { prepareActions } from "../fixtures/actions.ts";
import { execute } from "./execute.ts";
import { NOOP } from "./execute-noop.ts";
import { repeat, type Scale, type Scenario } from "./scenario.ts";

/** Executes an action whose result is cached. */
export function executeHit(scale: Scale): Scenario {
  return {
    name: "execute-hit",
    operation: "Execute of an action whose result is cached",
    concurrency: 16,
    operations: scale.operations(2000),
    needs: ["execution"],
    async prepare(target) {
      const makeActions = await prepareActions(target, NOOP);
      const [actionDigest] = await makeActions(1);
      if (actionDigest === undefined) throw new Error("one action was asked for");
      const options = { instanceName: target.instanceName, actionDigest, toolInvocationId: randomUUID() };
      const first = await execute(target.caller, { ...options, cached: false })();
      first?.();
      return {
        operations: (caller, operations) => repeat(execute(caller, { ...options, cached: true }), operations),
      };
    },
  };
}
