import { Code, ConnectError } from "@connectrpc/connect";
import type { ActionResult } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { digestFromWire, type Digest } from "../digest/digest.ts";
import type { DigestFunction } from "../digest/digest-function.ts";

/** The blobs that an ActionResult names, and that must exist for it to be of use. */
export interface ActionResultReferences {
  /** Files, stdout and stderr: blobs whose content says nothing more. */
  readonly blobs: readonly Digest[];
  /** Of Tree messages, which name further blobs. */
  readonly trees: readonly Digest[];
  /** Of root Directory messages, which name further blobs. */
  readonly rootDirectories: readonly Digest[];
}

/** How large a Tree is read to see that what it names is stored. This one would be of some 600,000 files. */
const MAX_TREE_BYTES = 64 << 20;

/**
 * Checks the structure of an ActionResult, as it came or as it was stored.
 * @throws ConnectError INVALID_ARGUMENT naming the field that is wrong, RESOURCE_EXHAUSTED naming a Tree that is too large.
 */
export function validateActionResult(result: ActionResult, digestFunction: DigestFunction): ActionResultReferences {
  const blobs: Digest[] = [];
  const trees: Digest[] = [];
  const rootDirectories: Digest[] = [];
  const parse = (wire: Parameters<typeof digestFromWire>[1], field: string) =>
    digestFromWire(digestFunction, wire, field);
  const paths = new Set<string>();
  const checkPath = (path: string, field: string) => {
    if (path.startsWith("/") || path.endsWith("/")) {
      throw invalid(`${field} "${path}" must be relative to the working directory, with no slash at its ends`);
    }
    if (paths.has(path)) throw invalid(`${field} "${path}" is an output twice`);
    paths.add(path);
  };

  for (const [index, file] of result.outputFiles.entries()) {
    const field = `action_result.output_files[${index}]`;
    if (file.path === "") throw invalid(`${field}.path is empty`);
    checkPath(file.path, `${field}.path`);
    const digest = parse(file.digest, `${field}.digest`);
    if (file.contents.length > 0 && file.contents.length !== digest.sizeBytes) {
      throw invalid(`${field}.contents has ${file.contents.length} bytes, its digest ${digest.sizeBytes}`);
    }
    blobs.push(digest);
  }
  for (const [index, directory] of result.outputDirectories.entries()) {
    const field = `action_result.output_directories[${index}]`;
    checkPath(directory.path, `${field}.path`);
    if (directory.treeDigest === undefined && directory.rootDirectoryDigest === undefined) {
      throw invalid(`${field} has neither tree_digest nor root_directory_digest`);
    }
    if (directory.treeDigest !== undefined) {
      const tree = parse(directory.treeDigest, `${field}.tree_digest`);
      if (tree.sizeBytes > MAX_TREE_BYTES) {
        throw new ConnectError(
          `${field}.tree_digest is of ${tree.sizeBytes} bytes; at most ${MAX_TREE_BYTES} are cached: ` +
            `split the output directory`,
          Code.ResourceExhausted,
        );
      }
      trees.push(tree);
    }
    if (directory.rootDirectoryDigest !== undefined) {
      rootDirectories.push(parse(directory.rootDirectoryDigest, `${field}.root_directory_digest`));
    }
  }
  for (const [index, link] of result.outputSymlinks.entries()) {
    const field = `action_result.output_symlinks[${index}]`;
    checkPath(link.path, `${field}.path`);
    if (link.target === "") throw invalid(`${field}.target is empty`);
  }
  if (result.stdoutDigest !== undefined) blobs.push(parse(result.stdoutDigest, "action_result.stdout_digest"));
  if (result.stderrDigest !== undefined) blobs.push(parse(result.stderrDigest, "action_result.stderr_digest"));
  return { blobs, trees, rootDirectories };
}

function invalid(message: string): ConnectError {
  return new ConnectError(message, Code.InvalidArgument);
}
