import type { Command } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { variableKey } from "../operating-system.ts";
import { invalidArgument } from "../refusal.ts";

/**
 * A command's environment: what it declares, and nothing of the agent's. Without a PATH a bare program name is looked
 * up where the C library says (on Linux /bin and /usr/bin), which REAPI leaves to the implementation. (What no program on
 * Windows can do without is added where it is started: see runner/process-group.ts.)
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

/** What a command declares, and of what the machine adds that which it does not declare. */
export function withAdditional(
  declared: Readonly<Record<string, string>>,
  additional: Readonly<Record<string, string>>,
  platform: NodeJS.Platform = process.platform,
): Readonly<Record<string, string>> {
  const keys = new Set(Object.keys(declared).map((name) => variableKey(name, platform)));
  const added = Object.entries(additional).filter(([name]) => !keys.has(variableKey(name, platform)));
  return { ...Object.fromEntries(added), ...declared };
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
