import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { parseOperationFilter } from "../../../src/execution/operation-filter.ts";

test.each([
  ["", {}],
  ["stage=QUEUED", { stage: Stage.QUEUED }],
  ['done = true and tool_invocation_id="a b"', { done: true, toolInvocationId: "a b" }],
  ["action_digest=ABC AND stage=COMPLETED", { actionHash: "abc", stage: Stage.COMPLETED }],
])("%j", (text, filter) => {
  expect(parseOperationFilter(text)).toEqual(filter);
});

test.each(["stage=RUNNING", "done=maybe", "colour=red", "stage", "stage=QUEUED OR done=true"])(
  "%j is INVALID_ARGUMENT that says what is expected",
  (text) => {
    expect(() => parseOperationFilter(text)).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
  },
);
