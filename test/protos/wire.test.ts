import { globSync, readFileSync } from "node:fs";
import {
  ScalarType,
  type DescEnum,
  type DescExtension,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { expect, test } from "vitest";
import { file_blaze_worker_worker_protocol } from "../../protos/gen/blaze/worker/worker_protocol_pb.ts";
import { file_build_bazel_remote_execution_v2_remote_execution } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { file_build_bazel_semver_semver } from "../../protos/gen/build/bazel/semver/semver_pb.ts";
import { file_google_bytestream_bytestream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { file_google_longrunning_operations } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { file_google_rpc_code } from "../../protos/gen/google/rpc/code_pb.ts";
import { file_google_rpc_error_details } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../../protos/gen/google/rpc/status_pb.ts";
import { file_grpc_health_v1_health } from "../../protos/gen/grpc/health/v1/health_pb.ts";
import { file_grpc_reflection_v1_reflection } from "../../protos/gen/grpc/reflection/v1/reflection_pb.ts";
import { file_grpc_reflection_v1alpha_reflection } from "../../protos/gen/grpc/reflection/v1alpha/reflection_pb.ts";

/**
 * The protocols that others own. Those in protos/remex are ours to extend, and no list of theirs is kept here; of
 * grpc.testing there is only what the tests call.
 */
const PUBLIC_FILES: readonly DescFile[] = [
  file_blaze_worker_worker_protocol,
  file_build_bazel_remote_execution_v2_remote_execution,
  file_build_bazel_semver_semver,
  file_google_bytestream_bytestream,
  file_google_longrunning_operations,
  file_google_rpc_code,
  file_google_rpc_error_details,
  file_google_rpc_status,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
];

function typeOf(field: DescField): string {
  const named = field.message ?? field.enum;
  if (named !== undefined) return named.typeName;
  return field.scalar === undefined ? "?" : ScalarType[field.scalar].toLowerCase();
}

function fieldLine(field: DescField): string {
  const type =
    field.fieldKind === "map"
      ? `map<${ScalarType[field.mapKey].toLowerCase()}, ${typeOf(field)}>`
      : `${field.fieldKind === "list" ? "repeated " : ""}${typeOf(field)}`;
  const oneof = field.oneof === undefined ? "" : ` (oneof ${field.oneof.name})`;
  return `  ${field.number} ${type} ${field.name}${oneof}${field.deprecated ? " (deprecated)" : ""}`;
}

function methodLine({ name, methodKind, input, output }: DescMethod): string {
  const streamsIn = methodKind === "client_streaming" || methodKind === "bidi_streaming";
  const streamsOut = methodKind === "server_streaming" || methodKind === "bidi_streaming";
  const request = `${streamsIn ? "stream " : ""}${input.typeName}`;
  return `  rpc ${name}(${request}) returns (${streamsOut ? "stream " : ""}${output.typeName})`;
}

function block(type: DescMessage | DescEnum | DescService | DescExtension): string {
  const heading = `${type.kind} ${type.typeName}`;
  switch (type.kind) {
    case "message":
      return [heading, ...type.fields.toSorted((a, b) => a.number - b.number).map(fieldLine)].join("\n");
    case "enum":
      return [
        heading,
        ...type.values.toSorted((a, b) => a.number - b.number).map((value) => `  ${value.number} ${value.name}`),
      ].join("\n");
    case "service":
      return [heading, ...type.methods.map(methodLine)].join("\n");
    case "extension":
      return heading;
  }
}

/** What decides the bytes on the wire and the URLs, one block for each type, sorted by its name. */
function wireListing(files: readonly DescFile[]): string {
  const types = files.flatMap((file) => [...nestedTypes(file)]);
  types.sort((a, b) => (a.typeName < b.typeName ? -1 : 1));
  return `${types.map(block).join("\n\n")}\n`;
}

test("the generated code speaks the public protocols, and beyond them only ExecutionPolicy.timeout", () => {
  const agreed = readFileSync(new URL("wire.txt", import.meta.url), "utf8");
  expect(wireListing(PUBLIC_FILES)).toBe(agreed);
});

test("no public protocol is left out of the comparison", () => {
  const generated = globSync("**/*_pb.ts", { cwd: new URL("../../protos/gen", import.meta.url) })
    .map((path) => path.replaceAll("\\", "/").replace("_pb.ts", ""))
    .filter((name) => !name.startsWith("remex/") && !name.startsWith("grpc/testing/"));
  expect(PUBLIC_FILES.map((file) => file.name).toSorted()).toEqual(generated.toSorted());
});

test("reflection v1 and v1alpha differ in their package alone", () => {
  const v1 = wireListing([file_grpc_reflection_v1_reflection]);
  expect(wireListing([file_grpc_reflection_v1alpha_reflection])).toBe(v1.replaceAll(".v1.", ".v1alpha."));
});
