import { fromBinary } from "@bufbuild/protobuf";
import {
  ActionSchema,
  CommandSchema,
  type Action,
  type Command,
  type Digest as WireDigest,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Lease } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { blobResourceName } from "../../src/byte-stream/resource-name.ts";
import type { DigestFunction } from "../../src/digest/digest-function.ts";
import { digestFromWire, requestDigestFunction, type Digest } from "../../src/digest/digest.ts";
import type { PlatformProperty } from "../platform-properties.ts";
import { invalidArgument, missingInputs, refuseMalformed } from "../refusal.ts";

/** What a lease asks to run. */
export interface LeasedAction {
  readonly command: Command;
  readonly inputRoot: Digest;
  readonly digestFunction: DigestFunction;
  /** What it asks of the machine. */
  readonly properties: readonly PlatformProperty[];
}

/**
 * Takes the action and its command from the lease, or from the CAS where they were too large for it.
 * @param read a blob's bytes; undefined if it is not in the CAS
 * @throws Refusal FAILED_PRECONDITION if one is missing, INVALID_ARGUMENT if one is malformed
 */
export async function leasedAction(
  lease: Lease,
  read: (digest: Digest) => Promise<Uint8Array | undefined>,
): Promise<LeasedAction> {
  const digestFunction = refuseMalformed(() => requestDigestFunction(lease.digestFunction, lease.actionDigest?.hash));
  const parse = (wire: WireDigest | undefined, field: string): Digest =>
    refuseMalformed(() => digestFromWire(digestFunction, wire, field));
  const bytesOf = async (inLease: Uint8Array, digest: Digest): Promise<Uint8Array> => {
    if (inLease.length > 0 || digest.sizeBytes === 0) return inLease;
    const bytes = await read(digest);
    if (bytes === undefined) throw missingInputs([digest]);
    return bytes;
  };

  const actionDigest = parse(lease.actionDigest, "action_digest");
  const action = parseAction(actionDigest, await bytesOf(lease.action, actionDigest));
  const inputRoot = parse(action.inputRootDigest, "input_root_digest");
  const commandDigest = parse(action.commandDigest, "command_digest");
  const command = parseCommand(commandDigest, await bytesOf(lease.command, commandDigest));
  const { properties = [] } = action.platform ?? command.platform ?? {};
  return { command, inputRoot, digestFunction, properties };
}

function parseAction(digest: Digest, bytes: Uint8Array): Action {
  try {
    return fromBinary(ActionSchema, bytes);
  } catch {
    throw invalidArgument(`${blobResourceName(digest)} is not an Action message`);
  }
}

function parseCommand(digest: Digest, bytes: Uint8Array): Command {
  try {
    return fromBinary(CommandSchema, bytes);
  } catch {
    throw invalidArgument(`${blobResourceName(digest)} is not a Command message`);
  }
}
