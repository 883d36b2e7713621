import { createHash } from "node:crypto";
import { digestKey } from "../../src/digest/digest.ts";
import { placedFiles, type InputTree } from "../inputs/input-tree.ts";
import type { InputFile } from "../inputs/input-directory.ts";
import type { PlatformProperty } from "../platform-properties.ts";
import type { WorkerProtocol } from "./worker-protocol.ts";

/** How an action can be done by a persistent worker. */
export interface WorkerSpec {
  /** Actions with equal keys can be done by the same worker. */
  readonly key: string;
  /** What it is started with. */
  readonly startupArguments: readonly string[];
  /** The arguments that name files of arguments: what a request is made of. */
  readonly flagFiles: readonly string[];
  readonly protocol: WorkerProtocol;
  /** Whether it understands that a request is cancelled. */
  readonly takesCancellation: boolean;
  /** The worker's own files, by their path from the input root. They stay as long as it lives. */
  readonly tools: ReadonlyMap<string, InputFile>;
}

export interface WorkerAction {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly properties: readonly PlatformProperty[];
  /** From the input root. */
  readonly workingDirectoryFromRoot: string;
}

/** What Bazel takes for the name of a file of arguments. */
const FLAG_FILE = /^(?:@|--?flagfile=)./;

/**
 * Whether, and how, an action is for a persistent worker. It is if it has a platform property `persistentWorkerKey` (which
 * Bazel sends with --experimental_remote_mark_tool_inputs) or `supports-workers`, inputs that are marked as the tool's, and
 * a file of arguments on its command line. Else it is to be run the usual way, and undefined is returned.
 *
 * The client's key is not relied upon: were it that of another tool, one build could do another's work.
 */
export function workerSpec(action: WorkerAction, tree: InputTree): WorkerSpec | undefined {
  const { arguments: given, environment, properties, workingDirectoryFromRoot } = action;
  const valueOf = (name: string): string => properties.find((property) => property.name === name)?.value ?? "";
  if (valueOf("persistentWorkerKey") === "" && !isYes(valueOf("supports-workers"))) return undefined;

  const [program, ...rest] = given;
  const flagFiles = rest.filter((argument) => FLAG_FILE.test(argument));
  if (program === undefined || flagFiles.length === 0) return undefined;
  const tools = new Map<string, InputFile>();
  for (const [path, file] of placedFiles(tree)) if (file.isTool) tools.set(path, file);
  if (tools.size === 0) return undefined;

  const startupArguments = [program, ...rest.filter((argument) => !FLAG_FILE.test(argument)), "--persistent_worker"];
  const identity = [
    startupArguments,
    Object.entries(environment).sort(),
    workingDirectoryFromRoot,
    properties.map(({ name, value }) => [name, value]),
    [...tools].map(([path, { digest, isExecutable }]) => [path, digestKey(digest), isExecutable]),
  ];
  return {
    key: createHash("sha256").update(JSON.stringify(identity)).digest("hex"),
    startupArguments,
    flagFiles,
    protocol: valueOf("requires-worker-protocol") === "json" ? "json" : "proto",
    takesCancellation: isYes(valueOf("supports-worker-cancellation")),
    tools,
  };
}

/** As Bazel's execution requirements have it, and as people write it. */
function isYes(value: string): boolean {
  return value === "1" || value === "true";
}
