import { type ExecutionView, msOf } from "./execution-view.ts";

/** What an execution did in a part of its time. */
export type StageName = "waiting" | "lost" | "fetching" | "running" | "uploading" | "agent" | "publishing";

/** A part of an execution's time. */
export interface Stage {
  readonly name: StageName;
  readonly label: string;
  readonly startMs: number;
  readonly endMs: number;
  /** It is not over yet: `endMs` is now. */
  readonly isOpen: boolean;
}

const LABELS: Readonly<Record<StageName, string>> = {
  waiting: "Waiting for an agent",
  lost: "Earlier attempts, and waiting",
  fetching: "Fetching inputs",
  running: "Running the command",
  uploading: "Uploading outputs",
  agent: "The agent's own work",
  publishing: "Storing the result",
};

/**
 * Where an execution's time went, in order and without gaps or overlaps, from when it was queued to its end or to now. Two
 * clocks are told here, the object's and the agent's: what the agent says is fitted into what the object saw.
 */
export function stagesOf(execution: ExecutionView, nowMs: number): Stage[] {
  const { endedAtMs, known, leasedAtMs, metadata, queuedAtMs } = execution;
  const endMs = Math.max(endedAtMs ?? nowMs, queuedAtMs);
  const stages: Stage[] = [];
  let reachedMs = queuedAtMs;
  const until = (name: StageName, toMs: number | undefined, isOpen = false) => {
    if (toMs === undefined) return;
    const stageEndMs = Math.min(Math.max(toMs, reachedMs), endMs);
    if (stageEndMs > reachedMs || isOpen) {
      stages.push({ name, label: LABELS[name], startMs: reachedMs, endMs: stageEndMs, isOpen });
    }
    reachedMs = stageEndMs;
  };

  const isRetry = (known.record?.leaseCount ?? 0) > 1;
  until(isRetry ? "lost" : "waiting", leasedAtMs);
  const marks: readonly (readonly [StageName, number | undefined])[] = [
    ["agent", msOf(metadata?.inputFetchStartTimestamp)],
    ["fetching", msOf(metadata?.inputFetchCompletedTimestamp)],
    ["agent", msOf(metadata?.executionStartTimestamp)],
    ["running", msOf(metadata?.executionCompletedTimestamp)],
    ["agent", msOf(metadata?.outputUploadStartTimestamp)],
    ["uploading", msOf(metadata?.outputUploadCompletedTimestamp)],
    ["agent", msOf(metadata?.workerCompletedTimestamp)],
  ];
  for (const [name, toMs] of marks) until(name, toMs);
  if (endedAtMs !== undefined) until(leasedAtMs === undefined ? "waiting" : "publishing", endMs);
  else until(openStage(execution), endMs, true);
  return stages;
}

/** What a live execution does now, as far as its agent has said. */
function openStage({ leasedAtMs, metadata, state }: ExecutionView): StageName {
  if (state === "queued" || leasedAtMs === undefined) return "waiting";
  if (metadata?.outputUploadStartTimestamp !== undefined) return "uploading";
  if (metadata?.executionCompletedTimestamp !== undefined) return "uploading";
  if (metadata?.executionStartTimestamp !== undefined) return "running";
  return metadata?.inputFetchCompletedTimestamp === undefined ? "fetching" : "running";
}

/** Where most of the time went, the longest first. */
export function totalsByStage(stages: readonly Stage[]): { readonly label: string; readonly totalMs: number }[] {
  const totals = new Map<string, number>();
  for (const { endMs, label, startMs } of stages) totals.set(label, (totals.get(label) ?? 0) + endMs - startMs);
  return Array.from(totals, ([label, totalMs]) => ({ label, totalMs })).sort((a, b) => b.totalMs - a.totalMs);
}
