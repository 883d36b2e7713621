import type { Command } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { invalidArgument } from "../refusal.ts";

/**
 * A command's environment: what it declares, and nothing of the agent's. Without a PATH a bare program name is looked
 * up where the C library says (on Linux /bin and /usr/bin), which REAPI leaves to the implementation.
 * @throws Refusal INVALID_ARGUMENT
 */
export function commandEnvironment({ environmentVariables }: Command): Readonly<Record<string, string>> {
  for (const { name, value } of environmentVariables) {
    if (name === "" || name.includes("=") || name.includes("\0") || value.includes("\0")) {
      throw invalidArgument(
        `environment variable ${JSON.stringify(name)} can't be set: its name or value is malformed`,
      );
    }
  }
  return Object.fromEntries(environmentVariables.map(({ name, value }) => [name, value]));
}

/**
 * A command's program and arguments.
 * @throws Refusal INVALID_ARGUMENT
 */
export function commandArguments({ arguments: given }: Command): readonly string[] {
  if (given[0] === undefined || given[0] === "")
    throw invalidArgument("the command has no program: arguments[0] is empty");
  const index = given.findIndex((argument) => argument.includes("\0"));
  if (index !== -1) throw invalidArgument(`arguments[${index}] has a NUL character, which no program can be given`);
  return given;
}
