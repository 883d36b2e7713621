import type { SchedulerState } from "./scheduler-state.ts";

/** Ids of live executions, as people look at them. */
export interface LiveExecutions {
  /** At agents, the latest lease first. */
  readonly running: readonly string[];
  /** The first to come first. */
  readonly queued: readonly string[];
}

/** At most `limit` of each. O(live executions) at worst, since those that run are mostly older than those that wait. */
export function liveExecutions({ agents, executions }: SchedulerState, limit: number): LiveExecutions {
  const leases = [...agents.all()].flatMap((agent) => [...agent.leases.values()]);
  leases.sort((a, b) => b.startedAtMs - a.startedAtMs);
  const queued: string[] = [];
  for (const { id, stage } of executions.values()) {
    if (queued.length === limit) break;
    if (stage === "queued") queued.push(id);
  }
  return { running: leases.flatMap(({ execution }) => execution?.id ?? []).slice(0, limit), queued };
}

/** Ids of at most `limit` live executions of a build, the first to come first. O(live executions). */
export function liveOfInvocation({ executions }: SchedulerState, invocationId: string, limit: number): string[] {
  const ids: string[] = [];
  for (const execution of executions.values()) {
    if (ids.length === limit) break;
    if (execution.invocationId === invocationId) ids.push(execution.id);
  }
  return ids;
}
