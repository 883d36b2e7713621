import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { ExecutionUpdates } from "../../bridge/execution-updates.ts";
import { encodeFrame } from "../../bridge/frames.ts";
import {
  ExecuteOperationMetadataSchema,
  type ExecuteResponse,
  ExecuteResponseSchema,
  ExecutionStage_Value as Stage,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { OperationSchema } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import { OK_TRAILERS } from "./endpoints.ts";

const queued = encodeFrame(toBinary(OperationSchema, create(OperationSchema, { name: "main/operations/0/a" })));
const done = encodeFrame(
  toBinary(OperationSchema, create(OperationSchema, { name: "main/operations/0/a", done: true })),
);

test("name and done are read, and the bytes stay as they are", () => {
  const updates = new ExecutionUpdates(1000);
  const read = updates.push(Buffer.concat([queued, done, OK_TRAILERS]));
  expect(read).toMatchObject([
    { name: "main/operations/0/a", done: false },
    { name: "main/operations/0/a", done: true },
  ]);
  expect(Buffer.concat(read.map(({ bytes }) => bytes))).toEqual(Buffer.concat([queued, done]));
  expect(updates.trailers).toEqual({ "grpc-status": "0" });
});

test.each([
  ["without a stage", undefined, false],
  ["in the action cache's check", metadataOf(Stage.CACHE_CHECK), false],
  ["that is queued", metadataOf(Stage.QUEUED), true],
  ["that is executing", metadataOf(Stage.EXECUTING), true],
  ["whose stage can't be read", { ...metadataOf(Stage.QUEUED), value: Uint8Array.of(7) }, false],
])("whether an operation %s is queued", (_what, metadata, queued) => {
  const bytes = encodeFrame(
    toBinary(OperationSchema, create(OperationSchema, { name: "n", ...(metadata !== undefined && { metadata }) })),
  );
  expect(new ExecutionUpdates(1000).push(bytes)).toMatchObject([{ queued }]);
});

function metadataOf(stage: Stage) {
  return anyPack(ExecuteOperationMetadataSchema, create(ExecuteOperationMetadataSchema, { stage }));
}

test.each([
  ["an error", { case: "error" as const, value: create(StatusSchema, { code: 9 }) }, 9],
  ["a response with a status", responseOf(create(ExecuteResponseSchema, { status: { code: 5 } })), 5],
  ["a response without", responseOf(create(ExecuteResponseSchema)), 0],
  [
    "a response that can't be read",
    {
      case: "response" as const,
      value: { ...responseOf(create(ExecuteResponseSchema)).value, value: Uint8Array.of(7) },
    },
    0,
  ],
])("the code of an operation that is done with %s", (_what, result, code) => {
  const bytes = encodeFrame(toBinary(OperationSchema, create(OperationSchema, { name: "n", done: true, result })));
  expect(new ExecutionUpdates(1000).push(bytes)).toMatchObject([{ done: true, code }]);
});

function responseOf(response: ExecuteResponse) {
  return { case: "response" as const, value: anyPack(ExecuteResponseSchema, response) };
}

test("an update is passed on only once it is whole", () => {
  const updates = new ExecutionUpdates(1000);
  expect(updates.push(queued.subarray(0, -1))).toEqual([]);
  expect(updates.push(queued.subarray(-1))).toHaveLength(1);
});

test.each([
  ["no Operation", encodeFrame(Uint8Array.of(0xff, 0xff)), /no google.longrunning.Operation/],
  ["compressed", encodeFrame(new Uint8Array(1), 1), /flags 0x1/],
  ["too long", encodeFrame(new Uint8Array(1001)), /at most 1000/],
  ["after the trailers", Buffer.concat([OK_TRAILERS, done]), /after the trailers/],
])("a frame that is %s is refused", (_what, bytes, message) => {
  expect(() => new ExecutionUpdates(1000).push(bytes)).toThrow(message);
});
