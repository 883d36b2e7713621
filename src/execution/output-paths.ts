import type { Command } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/** Whether an output's path leads nowhere but down from the working directory, which is the empty path itself. */
export function leadsDown(path: string): boolean {
  return path === "" || path.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..");
}

/** Every output that the command declares. */
export function declaredPaths({ outputDirectories, outputFiles, outputPaths }: Command): string[] {
  return [...outputPaths, ...outputFiles, ...outputDirectories];
}
