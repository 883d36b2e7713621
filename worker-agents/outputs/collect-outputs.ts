import { lstat, stat } from "node:fs/promises";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  Command_OutputDirectoryFormat as Format,
  type Digest as WireDigest,
  type OutputDirectorySchema,
  type OutputFileSchema,
  type OutputSymlinkSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { digestToWire } from "../../src/digest/digest.ts";
import type { Upload } from "../blobs/upload-blobs.ts";
import { forEachConcurrently } from "../concurrency.ts";
import { Refusal } from "../refusal.ts";
import { systemErrorCode } from "../system-error.ts";
import type { DeclaredOutput } from "./declared-outputs.ts";
import { digestOf } from "./digest-of.ts";
import { encodeDirectories, encodeTree } from "./directory-tree.ts";
import { realDirectory } from "./inside-root.ts";
import { nodePropertiesOf } from "./node-properties.ts";
import { takeOutputFile, type OutputFileContext } from "./output-files.ts";
import { readSymlink, scanDirectory } from "./scan-directory.ts";

const OUTPUTS_AT_ONCE = 8;

/** The output fields of an ActionResult, and the blobs that they name. */
export interface CollectedOutputs {
  readonly outputFiles: MessageInitShape<typeof OutputFileSchema>[];
  readonly outputDirectories: MessageInitShape<typeof OutputDirectorySchema>[];
  readonly outputSymlinks: MessageInitShape<typeof OutputSymlinkSchema>[];
  readonly outputFileSymlinks: MessageInitShape<typeof OutputSymlinkSchema>[];
  readonly outputDirectorySymlinks: MessageInitShape<typeof OutputSymlinkSchema>[];
  uploads: readonly Upload[];
}

export interface CollectOptions extends OutputFileContext {
  /** The input root, itself without symlinks. */
  readonly realRoot: string;
  readonly format: Format;
  /** Whether an output of another type than declared is an error, as REAPI says, and not just absent. */
  readonly strict: boolean;
}

/**
 * Finds what a command left of its declared outputs. One that is not there is simply absent from the result.
 * @throws Refusal FAILED_PRECONDITION for an output of another type than declared; INVALID_ARGUMENT for one that is
 *   outside of the input root by way of a symlink, or can't be expressed
 */
export async function collectOutputs(
  outputs: readonly DeclaredOutput[],
  options: CollectOptions,
  signal: AbortSignal,
): Promise<CollectedOutputs> {
  const tasks = outputs.map((output) => ({ output, collected: nothing() }));
  await forEachConcurrently(tasks, OUTPUTS_AT_ONCE, async ({ output, collected }) => {
    signal.throwIfAborted();
    await collectOutput(output, options, collected, signal);
  });
  // In the order of the declaration, so that the same action has the same result.
  const parts = tasks.map(({ collected }) => collected);
  return {
    outputFiles: parts.flatMap((part) => part.outputFiles),
    outputDirectories: parts.flatMap((part) => part.outputDirectories),
    outputSymlinks: parts.flatMap((part) => part.outputSymlinks),
    outputFileSymlinks: parts.flatMap((part) => part.outputFileSymlinks),
    outputDirectorySymlinks: parts.flatMap((part) => part.outputDirectorySymlinks),
    uploads: parts.flatMap((part) => part.uploads),
  };
}

function nothing(): CollectedOutputs {
  return {
    outputFiles: [],
    outputDirectories: [],
    outputSymlinks: [],
    outputFileSymlinks: [],
    outputDirectorySymlinks: [],
    uploads: [],
  };
}

async function collectOutput(
  output: DeclaredOutput,
  options: CollectOptions,
  collected: CollectedOutputs,
  signal: AbortSignal,
): Promise<void> {
  const { path, pathFromRoot, kind } = output;
  const { realRoot, strict } = options;
  const slash = pathFromRoot.lastIndexOf("/");
  const parent = await realDirectory(realRoot, pathFromRoot.slice(0, Math.max(0, slash)));
  if (parent === undefined) return;
  const place = join(parent, pathFromRoot.slice(slash + 1));
  const stats = await ifThere(() => lstat(place));
  if (stats === undefined) return;

  const unlike = (what: string): void => {
    if (strict) throw unlikeDeclared(output, what);
  };
  if (stats.isFile()) {
    if (kind === "directory") {
      unlike("a file");
      return;
    }
    const nodeProperties = await nodePropertiesOf(place, options.nodeProperties);
    const { digest, source, isExecutable } = await takeOutputFile(place, stats, options);
    collected.outputFiles.push({
      path,
      digest: digestToWire(digest),
      isExecutable,
      ...(nodeProperties && { nodeProperties }),
    });
    collected.uploads = [{ digest, source }];
  } else if (stats.isDirectory()) {
    if (kind === "file") {
      unlike("a directory");
      return;
    }
    const { directory, uploads } = await scanDirectory(place, pathFromRoot, options, signal);
    const { digests, messages } = encodeOutputDirectory(directory, options);
    collected.outputDirectories.push({ path, ...digests });
    collected.uploads = [...uploads, ...messages];
  } else if (stats.isSymbolicLink()) {
    const nodeProperties = await nodePropertiesOf(place, options.nodeProperties);
    const target = await readSymlink(place, pathFromRoot);
    const symlink = { path, target, ...(nodeProperties && { nodeProperties }) };
    if (kind === "path") {
      collected.outputSymlinks.push(symlink);
      return;
    }
    // A dangling one is told as it is: the client may have its target.
    const followed = await ifThere(() => stat(place));
    const isDirectory = followed === undefined ? kind === "directory" : followed.isDirectory();
    if (isDirectory !== (kind === "directory")) unlike(`a symlink to a ${isDirectory ? "directory" : "file"}`);
    else (isDirectory ? collected.outputDirectorySymlinks : collected.outputFileSymlinks).push(symlink);
  }
}

/** The fields of OutputDirectory beside its path. */
interface OutputDirectoryDigests {
  treeDigest?: WireDigest;
  isTopologicallySorted?: boolean;
  rootDirectoryDigest?: WireDigest;
}

/** Encodes an output directory in the format that the command asks for. */
function encodeOutputDirectory(
  directory: Parameters<typeof encodeDirectories>[0],
  { format, digestFunction }: CollectOptions,
): { readonly digests: OutputDirectoryDigests; readonly messages: readonly Upload[] } {
  const tree = encodeDirectories(directory, digestFunction);
  const digests: OutputDirectoryDigests = {};
  let messages: readonly Upload[] = [];
  if (format !== Format.DIRECTORY_ONLY) {
    const bytes = encodeTree(tree);
    const digest = digestOf(digestFunction, bytes);
    digests.treeDigest = digestToWire(digest);
    digests.isTopologicallySorted = true;
    messages = [{ digest, source: bytes }];
  }
  if (format === Format.DIRECTORY_ONLY || format === Format.TREE_AND_DIRECTORY) {
    digests.rootDirectoryDigest = digestToWire(tree.directories[0].digest);
    messages = [...messages, ...tree.directories.map(({ digest, bytes }) => ({ digest, source: bytes }))];
  }
  return { digests, messages };
}

async function ifThere<Result>(look: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await look();
  } catch (error) {
    switch (systemErrorCode(error)) {
      case "ENOENT":
      case "ENOTDIR":
      case "ELOOP":
      case "ENAMETOOLONG":
        return undefined;
      default:
        throw error;
    }
  }
}

function unlikeDeclared({ path, kind }: DeclaredOutput, what: string): Refusal {
  const message = `output ${path} is declared as a ${kind}, but the command left ${what} there`;
  return new Refusal(new ConnectError(message, Code.FailedPrecondition));
}
