import { randomUUID } from "node:crypto";
import { prepareActions } from "../fixtures/actions.ts";
import type { LoopResult, Operation } from "../load/closed-loop.ts";
import { execute } from "./execute.ts";
import type { Scale, Scenario } from "./scenario.ts";

const FILE_BYTES = 1024;

/** How many actions come with each tree: the agent has seen it at all but the first. */
const ACTIONS_A_TREE = 3;

/** Executes actions that do nothing and have many input files: the first of each tree, and those that come after it. */
export function executeTree(scale: Scale): Scenario {
  const files = scale.count(10_000);
  return {
    name: "execute-tree",
    operation: `Execute of a new action that does nothing with ${files} input files, two times out of three the same`,
    concurrency: 1,
    operations: scale.operations(2 * ACTIONS_A_TREE),
    needs: ["execution"],
    prepare: (target) =>
      Promise.resolve({
        operations: async (caller, count) => {
          const operations: Operation[] = [];
          while (operations.length < count) {
            const inputs = target.blobs.uniques(files, FILE_BYTES).map((blob, i) => ({ name: `input-${i}`, blob }));
            const makeActions = await prepareActions(target, { arguments: ["true"], inputs });
            const actions = await makeActions(Math.min(ACTIONS_A_TREE, count - operations.length));
            const options = { instanceName: target.instanceName, toolInvocationId: randomUUID(), cached: false };
            operations.push(...actions.map((actionDigest) => execute(caller, { ...options, actionDigest })));
          }
          return operations;
        },
        figures: seenAndNew,
      }),
  };
}

/** What a tree that was seen before takes, as a part of what it takes the first time. */
function seenAndNew({ latenciesMs, order }: LoopResult): Readonly<Record<string, number>> {
  // Else some have failed, and which is which can't be told.
  if (latenciesMs.length !== order.length) return {};
  const times = { first: 0, firsts: 0, later: 0, laters: 0 };
  for (const [index, latencyMs] of latenciesMs.entries()) {
    if ((order[index] ?? 0) % ACTIONS_A_TREE === 0) {
      times.first += latencyMs;
      times.firsts += 1;
    } else {
      times.later += latencyMs;
      times.laters += 1;
    }
  }
  return { "seen / new": times.later / times.laters / (times.first / times.firsts) };
}
