import { fromBinary } from "@bufbuild/protobuf";
import { ActionSchema, CommandSchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Lease } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { PlatformProperty } from "../platform-properties.ts";

/** The platform properties that a lease's action asks for; none where the lease is too large to bring them along. */
export function askedProperties({ action, command }: Lease): readonly PlatformProperty[] {
  try {
    const platform = fromBinary(ActionSchema, action).platform ?? fromBinary(CommandSchema, command).platform;
    return platform?.properties ?? [];
  } catch {
    // Whoever runs the action refuses it for that, in words.
    return [];
  }
}
