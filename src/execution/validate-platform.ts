import { Code, ConnectError } from "@connectrpc/connect";
import type { Platform } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/** What an agent may offer, too. The queue keeps what each action asks for. */
const MAX_PROPERTIES = 256;
const MAX_PROPERTY_LENGTH = 1024;

/** @throws ConnectError INVALID_ARGUMENT if it asks for more than any agent can offer */
export function validatePlatform({ properties }: Platform): void {
  if (properties.length > MAX_PROPERTIES) {
    throw new ConnectError(
      `the platform has ${properties.length} properties; at most ${MAX_PROPERTIES} are allowed`,
      Code.InvalidArgument,
    );
  }
  for (const { name, value } of properties) {
    if (name.length + value.length <= MAX_PROPERTY_LENGTH) continue;
    throw new ConnectError(
      `platform property ${JSON.stringify(name.slice(0, 128))} has more than the ${MAX_PROPERTY_LENGTH} characters that ` +
        "name and value may have together",
      Code.InvalidArgument,
    );
  }
}
