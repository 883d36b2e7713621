import { Code, ConnectError } from "@connectrpc/connect";
import {
  ActionCache,
  GetActionResultRequestSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { encode } from "../calls/caller.ts";
import { WrongAnswer } from "../load/closed-loop.ts";
import type { Scale, Scenario } from "./scenario.ts";

/** Asks for a result that nobody has. */
export function acMiss(scale: Scale): Scenario {
  return {
    name: "ac-miss",
    operation: "GetActionResult of an unknown action: NOT_FOUND",
    concurrency: 16,
    operations: scale.operations(4000),
    prepare({ instanceName, blobs }) {
      return Promise.resolve({
        operations: (caller, operations) =>
          Array.from({ length: operations }, () => {
            const request = encode(GetActionResultRequestSchema, { instanceName, actionDigest: blobs.absent(142) });
            return async () => {
              try {
                await caller.unary(ActionCache.method.getActionResult, request);
              } catch (error) {
                if (error instanceof ConnectError && error.code === Code.NotFound) return undefined;
                throw error;
              }
              throw new WrongAnswer("a result of an action that never ran");
            };
          }),
      });
    },
  };
}
