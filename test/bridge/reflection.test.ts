import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { answerReflection } from "../../bridge/reflection.ts";
import { SERVED_SERVICES } from "../../bridge/served-services.ts";
import { ServerReflection } from "../../protos/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../protos/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { startEndpoint } from "./endpoints.ts";

function filesOf(answer: ReturnType<typeof answerReflection>) {
  if (answer.case !== "fileDescriptorResponse") {
    throw new Error(`answered ${answer.case}`);
  }
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionV1Alpha],
] as const)("%s", (_version, service) => {
  test("lists every service, on a stream of native gRPC", async () => {
    const { port } = await startTestBridge(await startEndpoint(() => undefined));
    const client = createClient(service, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
    const responses = [];
    for await (const response of client.serverReflectionInfo(
      (async function* () {
        yield await Promise.resolve({ host: "h", messageRequest: { case: "listServices" as const, value: "*" } });
        yield { host: "h", messageRequest: { case: "fileByFilename" as const, value: "no.proto" } };
      })(),
    )) {
      responses.push(response);
    }
    expect(responses).toMatchObject([
      {
        validHost: "h",
        originalRequest: { messageRequest: { case: "listServices" } },
        messageResponse: {
          case: "listServicesResponse",
          value: { service: SERVED_SERVICES.map(({ typeName }) => ({ name: typeName })) },
        },
      },
      { messageResponse: { case: "errorResponse", value: { errorCode: Code.NotFound } } },
    ]);
  });
});

test("what is served: REAPI, ByteStream, Operations, health and reflection itself", () => {
  expect(SERVED_SERVICES.map(({ typeName }) => typeName)).toEqual([
    "build.bazel.remote.execution.v2.ActionCache",
    "google.bytestream.ByteStream",
    "build.bazel.remote.execution.v2.Capabilities",
    "build.bazel.remote.execution.v2.ContentAddressableStorage",
    "build.bazel.remote.execution.v2.Execution",
    "google.longrunning.Operations",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ]);
});

test.each(SERVED_SERVICES.map(({ typeName }) => typeName))(
  "the file of %s comes with all of its imports, once",
  (symbol) => {
    const files = filesOf(answerReflection({ case: "fileContainingSymbol", value: symbol }));
    const names = files.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(files.flatMap(({ dependency }) => dependency)));
    expect(names).toHaveLength(new Set(names).size);
    expect(files[0]?.service.map(({ name }) => `${files[0]?.package ?? ""}.${name}`)).toContain(symbol);
  },
);

test.each([
  ["google.rpc.PreconditionFailure", "google/rpc/error_details.proto"],
  ["google.rpc.PreconditionFailure.Violation", "google/rpc/error_details.proto"],
  [".google.longrunning.Operation", "google/longrunning/operations.proto"],
  ["google.longrunning.Operation.done", "google/longrunning/operations.proto"],
  ["google.longrunning.Operation.result", "google/longrunning/operations.proto"],
  ["google.bytestream.ByteStream.Read", "google/bytestream/bytestream.proto"],
  ["google.protobuf.Any", "google/protobuf/any.proto"],
  [
    "build.bazel.remote.execution.v2.ExecutionStage.Value.QUEUED",
    "build/bazel/remote/execution/v2/remote_execution.proto",
  ],
])("the file of %s is %s", (symbol, name) => {
  const [file] = filesOf(answerReflection({ case: "fileContainingSymbol", value: symbol }));
  expect(file?.name).toBe(name);
});

test("a file by name comes first, with its imports after it", () => {
  const names = filesOf(answerReflection({ case: "fileByFilename", value: "google/rpc/status.proto" })).map(
    ({ name }) => name,
  );
  expect(names).toEqual(["google/rpc/status.proto", "google/protobuf/any.proto"]);
});

test.each([
  [{ case: "fileByFilename", value: "x.proto" } as const],
  [{ case: "fileContainingSymbol", value: "" } as const],
  [{ case: "fileContainingSymbol", value: "google.bytestream.ByteStream.Nothing" } as const],
  [{ case: "fileContainingSymbol", value: "google.bytestream" } as const],
  [{ case: "allExtensionNumbersOfType", value: "no.Message" } as const],
])("what is not there is NOT_FOUND: %j", (request) => {
  expect(answerReflection(request)).toMatchObject({ case: "errorResponse", value: { errorCode: Code.NotFound } });
});

test("nothing has extensions", () => {
  expect(answerReflection({ case: "allExtensionNumbersOfType", value: "google.rpc.Status" })).toEqual({
    case: "allExtensionNumbersResponse",
    value: { baseTypeName: "google.rpc.Status", extensionNumber: [] },
  });
});
