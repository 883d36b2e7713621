import type { Waiting } from "../../../protos/gen/remex/instance/v1/instance_pb.ts";
import { type ExecutionView, isLive } from "../execution-view.ts";
import { type Stage, stagesOf, totalsByStage } from "../timeline.ts";
import { waitingText } from "../waiting-text.ts";
import { StageChart } from "./stage-chart.tsx";
import { StateMark } from "./state-mark.tsx";
import { durationText, shareText } from "./text.ts";
import { Time } from "./time.tsx";

export interface OperationProgressProps {
  readonly execution: ExecutionView;
  /** Undefined unless it is queued. */
  readonly waiting: Waiting | undefined;
  readonly nowMs: number;
}

/** How it stands, where its time went, and what became of earlier attempts. */
export function OperationProgress({ execution, nowMs, waiting }: OperationProgressProps) {
  const { agentName, known, queuedAtMs, status } = execution;
  const stages = stagesOf(execution, nowMs);
  const failures = known.record?.failures ?? [];
  return (
    <div id="progress" data-refresh={isLive(execution) ? "2" : undefined}>
      <p class="standing">
        <StateMark execution={execution} />
        {agentName !== "" && <span>on {agentName}</span>}
        <span class="quiet">
          queued <Time atMs={queuedAtMs} nowMs={nowMs} />
        </span>
      </p>
      {waiting !== undefined && (
        <p class="notice" role="status">
          {waitingText(waiting, nowMs)}
        </p>
      )}
      {status !== undefined && status.message !== "" && <p class="problem">{status.message}</p>}
      <section aria-labelledby="time">
        <h2 id="time">
          Time <small>{spentText(stages)}</small>
        </h2>
        <StageChart stages={stages} />
      </section>
      {failures.length > 0 && (
        <section aria-labelledby="attempts">
          <h2 id="attempts">Attempts</h2>
          <ol class="attempts">
            {failures.map((failure) => (
              <li>{failure}</li>
            ))}
            {(known.record?.leaseCount ?? 0) > failures.length && (
              <li>
                <StateMark execution={execution} /> {agentName !== "" && `on ${agentName}`}
              </li>
            )}
          </ol>
        </section>
      )}
    </div>
  );
}

/** `4.20 s in all, 79 % of it running the command` */
function spentText(stages: readonly Stage[]): string {
  const totals = totalsByStage(stages);
  const allMs = totals.reduce((sum, { totalMs }) => sum + totalMs, 0);
  const [most] = totals;
  if (most === undefined || allMs === 0) return "";
  const label = `${most.label.slice(0, 1).toLowerCase()}${most.label.slice(1)}`;
  return `${durationText(allMs)} in all, ${shareText(most.totalMs / allMs)} of it ${label}`;
}
