import { LeaseResult_Outcome, type LeaseResult } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { leaseOf, type ActionSpec } from "./leases.ts";
import type { RunningAgent } from "./running-agent.ts";

export interface Ran {
  readonly result: LeaseResult;
  readonly outcome: string | undefined;
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly message: string;
}

/** Leases one action to the agent, and waits for its result. */
export async function runAction(
  { peer, connection }: Pick<RunningAgent, "connection" | "peer">,
  spec: ActionSpec,
): Promise<Ran> {
  connection.lease(leaseOf(peer, spec));
  const result = await connection.result();
  const { actionResult, status } = result;
  return {
    result,
    outcome: LeaseResult_Outcome[result.outcome],
    exitCode: actionResult?.exitCode,
    stdout: actionResult?.stdoutDigest === undefined ? "" : peer.cas.get(actionResult.stdoutDigest).toString(),
    stderr: actionResult?.stderrDigest === undefined ? "" : peer.cas.get(actionResult.stderrDigest).toString(),
    message: status?.message ?? "",
  };
}
