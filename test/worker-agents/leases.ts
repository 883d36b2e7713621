import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  ActionSchema,
  CommandSchema,
  DigestFunction_Value,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LeaseSchema, type Lease } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { digestToWire, type Digest } from "../../src/digest/digest.ts";
import type { AgentPeer } from "./agent-peer.ts";
import { putTree, type TreeSpec } from "./input-tree.ts";

export interface ActionSpec {
  readonly command: MessageInitShape<typeof CommandSchema>;
  readonly inputs?: TreeSpec;
  /** Instead of `inputs`, a tree that is stored already. */
  readonly inputRoot?: Digest;
  readonly timeoutMs?: number;
}

/** Stores an action with all that belongs to it, and makes a lease of it, as the Instance object would. */
export function leaseOf(
  peer: AgentPeer,
  { command, inputs = {}, inputRoot = putTree(peer.cas, inputs).root, timeoutMs = 60_000 }: ActionSpec,
): Lease {
  const commandDigest = peer.cas.putMessage(CommandSchema, command);
  const actionDigest = peer.cas.putMessage(ActionSchema, {
    commandDigest: digestToWire(commandDigest),
    inputRootDigest: digestToWire(inputRoot),
  });
  return create(LeaseSchema, {
    leaseId: randomUUID(),
    instanceName: "main",
    digestFunction: DigestFunction_Value.SHA256,
    actionDigest: digestToWire(actionDigest),
    action: peer.cas.get(digestToWire(actionDigest)),
    command: peer.cas.get(digestToWire(commandDigest)),
    timeout: durationFromMs(timeoutMs),
    attempt: 1,
  });
}

/** A command of a few lines of shell, with the PATH that it needs. */
export function shell(
  script: string,
  more: MessageInitShape<typeof CommandSchema> = {},
): MessageInitShape<typeof CommandSchema> {
  return {
    arguments: ["/bin/sh", "-c", script],
    environmentVariables: [{ name: "PATH", value: "/usr/local/bin:/usr/bin:/bin" }],
    ...more,
  };
}
