import type { RequestMetadata } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/**
 * What an action is a part of, by its client's word, as a number: its target's label and what is done for it, hashed (FNV-1a)
 * to 30 bits, which take no memory of their own in V8. Two targets of one number do no harm: it is a hint where to run.
 * Undefined where the client doesn't say.
 */
export function targetOf(metadata: RequestMetadata | undefined): number | undefined {
  const { actionMnemonic = "", targetId = "" } = metadata ?? {};
  if (targetId === "") return undefined;
  const text = `${actionMnemonic} ${targetId}`;
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash & 0x3fffffff;
}
