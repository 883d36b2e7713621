import { fromBinary } from "@bufbuild/protobuf";
import {
  DirectorySchema,
  type Directory,
  type DirectoryNode,
  type FileNode,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { blobResourceName } from "../../src/byte-stream/resource-name.ts";
import { digestFromWire, type Digest } from "../../src/digest/digest.ts";
import { isNoName } from "../operating-system.ts";
import { invalidArgument, refuseMalformed } from "../refusal.ts";

/** A REAPI Directory that has been checked: every name is one plain path segment, and no two are the same. */
export interface InputDirectory {
  readonly files: readonly InputFile[];
  readonly directories: readonly InputSubdirectory[];
  readonly symlinks: readonly InputSymlink[];
}

export interface InputFile {
  readonly name: string;
  readonly digest: Digest;
  readonly isExecutable: boolean;
  /** Whether it belongs to the tool that the action runs, rather than to what the tool works on. */
  readonly isTool: boolean;
}

export interface InputSubdirectory {
  readonly name: string;
  readonly digest: Digest;
}

/**
 * The target is whatever the client says: REAPI allows `..` anywhere in it and, where the capabilities say so, an
 * absolute one. It can't lead the agent astray, since nothing is ever created through a symlink of the tree.
 */
export interface InputSymlink {
  readonly name: string;
  readonly target: string;
}

/**
 * Parses the bytes of a Directory.
 * @throws Refusal INVALID_ARGUMENT, naming the Directory and what is wrong in it
 */
export function parseInputDirectory(digest: Digest, bytes: Uint8Array): InputDirectory {
  const where = `input directory ${blobResourceName(digest)}`;
  let wire: Directory;
  try {
    wire = fromBinary(DirectorySchema, bytes);
  } catch {
    throw invalidArgument(`${where} is not a Directory message`);
  }
  const names = new Set<string>();
  const claim = (name: string): void => {
    if (!isPathSegment(name)) throw invalidArgument(`${where}: ${JSON.stringify(name)} is not a file name`);
    if (names.has(name)) throw invalidArgument(`${where}: ${JSON.stringify(name)} comes twice`);
    names.add(name);
  };
  const digestOfNode = (node: FileNode | DirectoryNode): Digest =>
    refuseMalformed(() => digestFromWire(digest.digestFunction, node.digest, `${where}: digest of ${node.name}`));
  return {
    files: wire.files.map((node) => {
      claim(node.name);
      return { name: node.name, digest: digestOfNode(node), isExecutable: node.isExecutable, isTool: isMarked(node) };
    }),
    directories: wire.directories.map((node) => {
      claim(node.name);
      return { name: node.name, digest: digestOfNode(node) };
    }),
    symlinks: wire.symlinks.map(({ name, target }) => {
      claim(name);
      if (target === "" || target.includes("\0")) {
        throw invalidArgument(`${where}: symlink ${name} has the target ${JSON.stringify(target)}`);
      }
      return { name, target };
    }),
  };
}

/** By the node property that Bazel gives to the files of an action's tool, with --experimental_remote_mark_tool_inputs. */
function isMarked({ nodeProperties }: FileNode): boolean {
  return nodeProperties?.properties.some(({ name }) => name === "bazel_tool_input") ?? false;
}

/** Whether `name` names one entry of a directory, and nothing above, below or beside it. */
export function isPathSegment(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name) && !isNoName(name);
}
