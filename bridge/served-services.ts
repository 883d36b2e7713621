import type { DescService } from "@bufbuild/protobuf";
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
  Execution,
} from "../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../protos/gen/google/bytestream/bytestream_pb.ts";
import { Operations } from "../protos/gen/google/longrunning/operations_pb.ts";
import { Health } from "../protos/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../protos/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../protos/gen/grpc/reflection/v1alpha/reflection_pb.ts";

/** The services of the endpoint. */
export const UPSTREAM_SERVICES: readonly DescService[] = [
  ActionCache,
  ByteStream,
  Capabilities,
  ContentAddressableStorage,
  Execution,
  Operations,
];

/** The services that the bridge answers itself. */
export const LOCAL_SERVICES: readonly DescService[] = [Health, ServerReflection, ServerReflectionV1Alpha];

/** Every service that a client of the bridge can call. */
export const SERVED_SERVICES: readonly DescService[] = [...UPSTREAM_SERVICES, ...LOCAL_SERVICES];
