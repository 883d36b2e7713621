import { createHash } from "node:crypto";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  ActionSchema,
  CommandSchema,
  type Digest,
  DigestSchema,
  DirectorySchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

export interface Blob {
  readonly digest: Digest;
  readonly data: Uint8Array;
}

export function blobOf(data: Uint8Array | string): Blob {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const hash = createHash("sha256").update(bytes).digest("hex");
  return { digest: create(DigestSchema, { hash, sizeBytes: BigInt(bytes.length) }), data: bytes };
}

export function messageBlob<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): Blob {
  return blobOf(toBinary(schema, create(schema, message)));
}

export interface ActionOptions {
  /** A script for /bin/sh. */
  readonly script: string;
  /** Input files in the root of the tree, by name. */
  readonly inputs?: Readonly<Record<string, string>>;
  readonly outputPaths?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
  /** In the Command, as clients from before REAPI 2.2 have it; then the Action has none. */
  readonly commandProperties?: Readonly<Record<string, string>>;
  /** Beside PATH. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly timeout?: Pick<Duration, "seconds" | "nanos">;
  readonly doNotCache?: boolean;
  /** Makes an action that is otherwise the same another one. */
  readonly salt?: string;
}

export interface PreparedAction {
  readonly digest: Digest;
  /** The Action, its Command, its input tree: all that must be in the CAS before it can run. */
  readonly blobs: readonly Blob[];
}

/** An action that runs a shell script. */
export function prepareAction(options: ActionOptions): PreparedAction {
  const files = Object.entries(options.inputs ?? {}).map(([name, text]) => ({ name, blob: blobOf(text) }));
  const root = messageBlob(DirectorySchema, {
    files: files.map(({ name, blob }) => ({ name, digest: blob.digest })).sort(byName),
  });
  const command = messageBlob(CommandSchema, {
    arguments: ["/bin/sh", "-c", options.script],
    environmentVariables: [...pairs(options.environment), { name: "PATH", value: "/usr/bin:/bin" }],
    outputPaths: [...(options.outputPaths ?? [])],
    ...(options.commandProperties && { platform: { properties: pairs(options.commandProperties) } }),
  });
  const action = messageBlob(ActionSchema, {
    commandDigest: command.digest,
    inputRootDigest: root.digest,
    doNotCache: options.doNotCache ?? false,
    salt: new TextEncoder().encode(options.salt ?? ""),
    ...(options.commandProperties === undefined && { platform: { properties: pairs(options.properties) } }),
    ...(options.timeout && { timeout: options.timeout }),
  });
  return { digest: action.digest, blobs: [action, command, root, ...files.map(({ blob }) => blob)] };
}

function pairs(values: Readonly<Record<string, string>> = {}): { name: string; value: string }[] {
  return Object.entries(values)
    .map(([name, value]) => ({ name, value }))
    .sort(byName);
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1;
}
