import { randomUUID } from "node:crypto";
import { type ActionKind, prepareActions } from "../fixtures/actions.ts";
import { execute } from "./execute.ts";
import type { Scale, Scenario } from "./scenario.ts";

/** The least that a machine can run. */
export const NOOP_COMMAND = "/usr/bin/true";
export const NOOP: ActionKind = { arguments: [NOOP_COMMAND] };

/** Executes an action that nobody has run and that does nothing: what scheduling, lease, agent and result cost. */
export function executeNoop(scale: Scale, slots: number): Scenario {
  return {
    name: "execute-noop",
    operation: "Execute of a new action that does nothing, its inputs present",
    // So that an agent's slot never waits for the client.
    concurrency: 2 * slots,
    operations: scale.operations(600),
    needs: ["execution"],
    baselines: ["local spawn", "bare dispatch"],
    async prepare(target) {
      const makeActions = await prepareActions(target, NOOP);
      const toolInvocationId = randomUUID();
      return {
        operations: async (caller, operations) =>
          (await makeActions(operations)).map((actionDigest) =>
            execute(caller, { instanceName: target.instanceName, actionDigest, toolInvocationId, cached: false }),
          ),
      };
    },
  };
}
