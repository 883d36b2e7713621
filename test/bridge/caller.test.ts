import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { callerKey, sharedMetadata } from "../../bridge/caller.ts";
import { RequestMetadataSchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

const REQUEST_METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin";
const HEADERS = { ":path": "/a.B/C", "content-type": "application/grpc", authorization: "Bearer a", "x-tenant": "t" };

function requestMetadata(toolInvocationId: string, actionId: string): string {
  const message = create(RequestMetadataSchema, {
    toolDetails: { toolName: "bazel" },
    toolInvocationId,
    correlatedInvocationsId: "ci-1",
    actionId,
    actionMnemonic: "CppCompile",
    targetId: "//a",
    configurationId: "k8",
  });
  return Buffer.from(toBinary(RequestMetadataSchema, message)).toString("base64");
}

test.each([
  ["authorization", { authorization: "Bearer b" }],
  ["a header of the service's own", { "x-tenant": "u" }],
  ["one header more", { "x-other": "" }],
  ["no authorization", { authorization: undefined }],
])("callers differ by %s", (_what, change) => {
  expect(callerKey({ ...HEADERS, ...change })).not.toBe(callerKey(HEADERS));
});

test.each([
  ["the method", { ":path": "/a.B/D" }],
  ["the deadline", { "grpc-timeout": "1S" }],
  ["the trace", { traceparent: "00-1-2-01" }],
  ["the attempt", { "grpc-previous-rpc-attempts": "1" }],
  ["the action", { [REQUEST_METADATA]: requestMetadata("build-1", "action-1") }],
])("one caller's calls may differ by %s", (_what, change) => {
  expect(callerKey({ ...HEADERS, ...change })).toBe(callerKey(HEADERS));
});

test("the order of headers doesn't matter, and their values can't be taken for names", () => {
  expect(callerKey({ a: "1", b: "2" })).toBe(callerKey({ b: "2", a: "1" }));
  expect(callerKey({ a: '1","b' })).not.toBe(callerKey({ a: "1", b: "" }));
});

test("what calls share is their invocation, not their actions", () => {
  const shared = sharedMetadata({ ...HEADERS, [REQUEST_METADATA]: requestMetadata("build-1", "action-1") });
  const message = fromBinary(RequestMetadataSchema, Buffer.from(String(shared[REQUEST_METADATA]), "base64"));
  expect(message).toMatchObject({
    toolInvocationId: "build-1",
    correlatedInvocationsId: "ci-1",
    actionId: "",
    actionMnemonic: "",
    targetId: "",
    configurationId: "",
  });
  expect(message.toolDetails?.toolName).toBe("bazel");
  expect(shared).toMatchObject({ authorization: "Bearer a", "x-tenant": "t" });
});

test("RequestMetadata that can't be read are left out", () => {
  expect(sharedMetadata({ ...HEADERS, [REQUEST_METADATA]: "/////w" })).toEqual(HEADERS);
});
