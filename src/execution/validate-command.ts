import { Code, ConnectError } from "@connectrpc/connect";
import type { Command } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/**
 * What can be said of a command without its input tree.
 * @throws ConnectError INVALID_ARGUMENT naming the field, after the rules in REAPI's comments on Command.
 */
export function validateCommand(command: Command): void {
  if (command.arguments[0] === undefined || command.arguments[0] === "") {
    refuse("Command.arguments is empty; the first argument is the program to run");
  }
  for (const { name } of command.environmentVariables) {
    if (name === "" || name.includes("=") || name.includes("\0")) {
      refuse(`Command.environment_variables has the name ${JSON.stringify(name)}`);
    }
  }
  if (command.workingDirectory !== "") checkPath(command.workingDirectory, "working_directory");
  for (const path of command.outputPaths) if (path !== "") checkPath(path, "output_paths");
  for (const path of command.outputFiles) checkPath(path, "output_files");
  // The root itself may be an output directory.
  for (const path of command.outputDirectories) if (path !== "") checkPath(path, "output_directories");
}

/**
 * REAPI: paths are relative to the input root or the working directory, with forward slashes, and neither begin nor end
 * with one. `..` is allowed in outputs, as far as it stays in the input root; the agent, who knows the tree, checks that.
 */
function checkPath(path: string, field: string): void {
  if (path.startsWith("/") || path.endsWith("/") || path.includes("\0") || path.includes("//")) {
    refuse(`Command.${field} has ${JSON.stringify(path)}; expected a relative path without a slash at its end`);
  }
}

function refuse(message: string): never {
  throw new ConnectError(message.slice(0, 1024), Code.InvalidArgument);
}
