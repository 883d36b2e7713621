import { encodeBinaryHeader } from "@connectrpc/connect";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  ActionSchema,
  CommandSchema,
  type Digest,
  DirectorySchema,
  RequestMetadataSchema,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ExecutionStream } from "../../durable-objects/instance/execution-stream.ts";
import { type Blob, blobOf, messageBlob } from "../../e2e/action.ts";
import { type Clients, INSTANCE, upload } from "../../e2e/clients.ts";

/** Files by path, with the directories that the paths have. */
export type Files = Readonly<Record<string, string>>;

/** An action as a build tool sends it: with the metadata that says what it is of. */
export interface BuiltAction {
  readonly target?: string;
  readonly mnemonic?: string;
  readonly invocation?: string;
  readonly arguments?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly inputs?: Files;
  readonly outputs?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
  readonly doNotCache?: boolean;
}

/** A directory and all below it as REAPI messages; the root is the first. */
export function treeOf(files: Files): { readonly root: Digest; readonly blobs: readonly Blob[] } {
  const blobs: Blob[] = [];
  const byHead = Map.groupBy(Object.entries(files), ([path]) => path.split("/", 1)[0] ?? "");
  const inRoot: { name: string; digest: Digest }[] = [];
  const directories: { name: string; digest: Digest }[] = [];
  for (const [name, entries] of [...byHead].sort()) {
    const [first] = entries;
    if (first !== undefined && first[0] === name) {
      const blob = blobOf(first[1]);
      blobs.push(blob);
      inRoot.push({ name, digest: blob.digest });
    } else {
      const below = treeOf(Object.fromEntries(entries.map(([path, text]) => [path.slice(name.length + 1), text])));
      blobs.push(...below.blobs);
      directories.push({ name, digest: below.root });
    }
  }
  const root = messageBlob(DirectorySchema, { files: inRoot, directories });
  return { root: root.digest, blobs: [root, ...blobs] };
}

/** Uploads the action and all it needs, and executes it. */
export async function executeBuilt(clients: Clients, built: BuiltAction): Promise<ExecutionStream> {
  const tree = treeOf(built.inputs ?? {});
  const command = messageBlob(CommandSchema, {
    arguments: [...(built.arguments ?? ["true"])],
    environmentVariables: Object.entries(built.environment ?? {}).map(([name, value]) => ({ name, value })),
    outputPaths: [...(built.outputs ?? [])],
    workingDirectory: "",
  });
  const properties = Object.entries(built.properties ?? {}).map(([name, value]) => ({ name, value }));
  const action = messageBlob(ActionSchema, {
    commandDigest: command.digest,
    inputRootDigest: tree.root,
    platform: { properties },
    doNotCache: built.doNotCache ?? false,
  });
  await upload(clients, [action, command, ...tree.blobs]);
  const metadata: MessageInitShape<typeof RequestMetadataSchema> = {
    toolInvocationId: built.invocation ?? "",
    targetId: built.target ?? "",
    actionMnemonic: built.mnemonic ?? "",
    toolDetails: { toolName: "bazel", toolVersion: "8.4.0" },
  };
  const header = encodeBinaryHeader(create(RequestMetadataSchema, metadata), RequestMetadataSchema);
  return new ExecutionStream(
    clients.execution.execute(
      { instanceName: INSTANCE, actionDigest: action.digest },
      { headers: { "build.bazel.remote.execution.v2.requestmetadata-bin": header } },
    ),
  );
}
