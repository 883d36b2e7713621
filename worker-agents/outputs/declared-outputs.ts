import type { Command } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { isPathSegment } from "../inputs/input-directory.ts";
import { invalidArgument } from "../refusal.ts";

/** Something that the client wants back. */
export interface DeclaredOutput {
  /** As the client wrote it, relative to the working directory; the result names it the same. */
  readonly path: string;
  /** From the input root, `/` between the segments, without `.` and `..`; empty for the input root itself. */
  readonly pathFromRoot: string;
  /** `path` is what `output_paths` asks for: whatever is there. The older fields say what it must be. */
  readonly kind: "path" | "file" | "directory";
}

/**
 * The working directory from the input root.
 * @throws Refusal INVALID_ARGUMENT if it leads out of the input root
 */
export function workingDirectoryFromRoot({ workingDirectory }: Command): string {
  return resolveInRoot("", workingDirectory, "working_directory");
}

/**
 * The outputs that a command declares: `output_paths`, and only where that is empty the older fields, as REAPI says.
 * @throws Refusal INVALID_ARGUMENT if one leads out of the input root
 */
export function declaredOutputs(command: Command): DeclaredOutput[] {
  const base = workingDirectoryFromRoot(command);
  const declare = (paths: readonly string[], kind: DeclaredOutput["kind"], field: string): DeclaredOutput[] =>
    [...new Set(paths)].map((path) => ({ path, pathFromRoot: resolveInRoot(base, path, field), kind }));
  if (command.outputPaths.length > 0) return declare(command.outputPaths, "path", "output_paths");
  return [
    ...declare(command.outputFiles, "file", "output_files"),
    ...declare(command.outputDirectories, "directory", "output_directories"),
  ];
}

function resolveInRoot(base: string, path: string, field: string): string {
  const refuse = (why: string): Error => invalidArgument(`${field} ${JSON.stringify(path)} ${why}`);
  if (path.startsWith("/")) throw refuse("is absolute: it must be relative");
  const segments = base === "" ? [] : base.split("/");
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") {
      if (segments.pop() === undefined) throw refuse("leads out of the input root");
    } else if (isPathSegment(segment)) {
      segments.push(segment);
    } else {
      throw refuse("is not a path on this machine");
    }
  }
  return segments.join("/");
}
