import { fromBinary } from "@bufbuild/protobuf";
import {
  Capabilities,
  GetCapabilitiesRequestSchema,
  ServerCapabilitiesSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { encode } from "../calls/caller.ts";
import { WrongAnswer } from "../load/closed-loop.ts";
import { answersLike } from "./answers.ts";
import { repeat, type Scale, type Scenario } from "./scenario.ts";

/** The cheapest call there is: what the path costs. */
export function capabilities(scale: Scale): Scenario {
  return {
    name: "capabilities",
    operation: "GetCapabilities",
    concurrency: 16,
    operations: scale.operations(5000),
    direct: true,
    prepare({ instanceName }) {
      const request = encode(GetCapabilitiesRequestSchema, { instanceName });
      const check = answersLike((answer) => {
        if (fromBinary(ServerCapabilitiesSchema, answer).highApiVersion === undefined) {
          throw new WrongAnswer("no API version");
        }
      });
      return Promise.resolve({
        operations: (caller, count) =>
          repeat(async () => check(await caller.unary(Capabilities.method.getCapabilities, request)), count),
      });
    },
  };
}
