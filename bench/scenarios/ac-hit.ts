import { fromBinary } from "@bufbuild/protobuf";
import {
  ActionCache,
  ActionResultSchema,
  GetActionResultRequestSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { type Caller, encode } from "../calls/caller.ts";
import { type Operation, WrongAnswer } from "../load/closed-loop.ts";
import { type CachedAction, storeActionResults } from "./action-results.ts";
import { answersLike } from "./answers.ts";
import type { Scale, Scenario } from "./scenario.ts";

/** How many different results are asked for in turn. */
const RESULTS = 100;

/** Asks for a result that is cached. */
export function acHit(scale: Scale): Scenario {
  return {
    name: "ac-hit",
    operation: "GetActionResult of a cached result with 3 outputs",
    concurrency: 16,
    operations: scale.operations(4000),
    needs: ["action cache updates"],
    direct: true,
    async prepare(target) {
      const actions = await storeActionResults(target, scale.count(RESULTS));
      const gets = actions.map((action) => getOf(target.instanceName, action));
      return {
        operations: (caller, operations) =>
          Array.from({ length: operations }, (_, i) => {
            const get = gets[i % gets.length];
            if (get === undefined) throw new Error("there is a result for each operation");
            return get(caller);
          }),
      };
    },
  };
}

export function getOf(instanceName: string, { digest, outputs }: CachedAction): (caller: Caller) => Operation {
  const request = encode(GetActionResultRequestSchema, { instanceName, actionDigest: digest });
  const check = answersLike((answer) => {
    const { outputFiles } = fromBinary(ActionResultSchema, answer);
    const right = outputFiles.filter((file, i) => file.digest?.hash === outputs[i]?.digest.hash).length;
    if (right !== outputs.length) throw new WrongAnswer(`${right} of ${outputs.length} outputs`);
  });
  return (caller) => async () => check(await caller.unary(ActionCache.method.getActionResult, request));
}
