import { lstat } from "node:fs/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { NodePropertiesSchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

export type NodeProperties = MessageInitShape<typeof NodePropertiesSchema>;

const NANOS_PER_SECOND = 1_000_000_000n;

/** Where the file system keeps permissions, and not the kind of the file. */
const PERMISSIONS = 0o7777n;

/**
 * What a command asks to be told of each of its outputs, by Command.output_node_properties: `mtime` and `unix_mode`, which
 * ExecutionCapabilities.supported_node_properties offers. Other names are left out.
 * @param path where the output is; of a symlink, its own properties
 * @returns undefined if nothing is asked for
 */
export async function nodePropertiesOf(path: string, asked: readonly string[]): Promise<NodeProperties | undefined> {
  const [wantsTime, wantsMode] = [asked.includes("mtime"), asked.includes("unix_mode")];
  if (!wantsTime && !wantsMode) return undefined;
  const { mtimeNs, mode } = await lstat(path, { bigint: true });
  // Of a time before 1970, too, the nanoseconds count forwards.
  const nanos = ((mtimeNs % NANOS_PER_SECOND) + NANOS_PER_SECOND) % NANOS_PER_SECOND;
  return {
    ...(wantsTime && { mtime: { seconds: (mtimeNs - nanos) / NANOS_PER_SECOND, nanos: Number(nanos) } }),
    ...(wantsMode && { unixMode: Number(mode & PERMISSIONS) }),
  };
}
