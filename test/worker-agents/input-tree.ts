import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DirectorySchema,
  type FileNodeSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { digestToWire, type Digest } from "../../src/digest/digest.ts";
import { sha256, type CasServer } from "./cas-server.ts";

/** A tree by the paths of its leaves: a text is a file, and a path that ends with a slash is an empty directory. */
export type TreeSpec = Readonly<Record<string, Leaf>>;

type Leaf = string | { readonly executable: string; readonly isTool?: boolean } | { readonly target: string };

export function executable(content: string): Leaf {
  return { executable: content };
}

/** A file of the tool that the action runs, as Bazel marks it. */
export function toolFile(content: string): Leaf {
  return { executable: content, isTool: true };
}

export function symlinkTo(target: string): Leaf {
  return { target };
}

/** What a client stores for a tree: each blob, by what it is. */
export interface StoredTree {
  readonly root: Digest;
  /** By the path of the file, or of the directory with a slash at its end. */
  readonly digests: ReadonlyMap<string, Digest>;
}

/** Stores a tree's files and directories, as a client does before it calls Execute. */
export function putTree(cas: CasServer, spec: TreeSpec): StoredTree {
  const digests = new Map<string, Digest>();
  const putDirectory = (prefix: string): Digest => {
    const files: MessageInitShape<typeof FileNodeSchema>[] = [];
    const symlinks: { name: string; target: string }[] = [];
    const subdirectories = new Set<string>();
    for (const [path, leaf] of Object.entries(spec)) {
      if (!path.startsWith(prefix) || path === prefix) continue;
      const [name = "", ...rest] = path.slice(prefix.length).split("/");
      if (rest.length > 0) {
        subdirectories.add(name);
      } else if (typeof leaf === "object" && "target" in leaf) {
        symlinks.push({ name, target: leaf.target });
      } else {
        const content = typeof leaf === "string" ? leaf : leaf.executable;
        const digest = content === "" ? sha256("") : cas.put(content);
        digests.set(path, digest);
        files.push({
          name,
          digest: digestToWire(digest),
          isExecutable: typeof leaf !== "string",
          ...(typeof leaf === "object" && leaf.isTool === true && { nodeProperties: TOOL_PROPERTIES }),
        });
      }
    }
    const directories = [...subdirectories].sort().map((name) => ({
      name,
      digest: digestToWire(putDirectory(`${prefix}${name}/`)),
    }));
    const message = create(DirectorySchema, {
      files: files.sort(byName),
      symlinks: symlinks.sort(byName),
      directories,
    });
    const bytes = toBinary(DirectorySchema, message);
    const digest = bytes.length === 0 ? sha256("") : cas.put(bytes);
    digests.set(prefix, digest);
    return digest;
  };
  return { root: putDirectory(""), digests };
}

function byName({ name: a = "" }: { readonly name?: string }, { name: b = "" }: { readonly name?: string }): number {
  return a < b ? -1 : 1;
}

const TOOL_PROPERTIES = { properties: [{ name: "bazel_tool_input", value: "" }] };
