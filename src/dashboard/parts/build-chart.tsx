import type { ExecutionView } from "../execution-view.ts";
import { inLanes } from "../invocation/lanes.ts";
import { countText, durationText } from "./text.ts";

const WIDTH = 1000;
const LANE_HEIGHT = 10;
const AXIS_HEIGHT = 18;

/** More than this can't be told apart: the longest are drawn. */
const MAX_DRAWN = 1500;

export interface BuildChartProps {
  readonly executions: readonly ExecutionView[];
  /** Those that are drawn as the ones that the build waited for. */
  readonly critical: ReadonlySet<ExecutionView>;
  readonly nowMs: number;
}

/** A build in time: each action from its lease to its end, those at the same time below each other. */
export function BuildChart({ critical, executions, nowMs }: BuildChartProps) {
  const spans = executions
    .flatMap((execution) => {
      const { endedAtMs = nowMs, leasedAtMs } = execution;
      return leasedAtMs === undefined ? [] : { execution, startMs: leasedAtMs, endMs: Math.max(endedAtMs, leasedAtMs) };
    })
    .sort((a, b) => b.endMs - b.startMs - (a.endMs - a.startMs))
    .slice(0, MAX_DRAWN);
  if (spans.length === 0) return null;
  const startMs = Math.min(...executions.map(({ queuedAtMs }) => queuedAtMs));
  const endMs = Math.max(...spans.map((span) => span.endMs));
  const totalMs = Math.max(endMs - startMs, 1);
  const placed = inLanes(spans);
  const lanes = Math.max(...placed.map(({ lane }) => lane)) + 1;
  const height = lanes * LANE_HEIGHT + AXIS_HEIGHT;
  const x = (ms: number) => ((ms - startMs) / totalMs) * WIDTH;
  const ticks = ticksOf(totalMs);
  return (
    <figure class="build-chart">
      <div class="scroll" role="group" aria-label="The build in time" tabindex={0}>
        <svg
          viewBox={`0 0 ${WIDTH} ${height}`}
          role="img"
          aria-label={`${countText(spans.length, "action")} in ${durationText(totalMs)}, at most ${lanes} at the same time`}
        >
          {ticks.map((ms) => (
            <>
              <line class="tick" x1={x(startMs + ms)} x2={x(startMs + ms)} y1="0" y2={height - AXIS_HEIGHT} />
              <text class="tick-label" x={x(startMs + ms)} y={height - 5} text-anchor={ms === 0 ? "start" : "middle"}>
                {durationText(ms).replace(/\.0+ /, " ")}
              </text>
            </>
          ))}
          {placed.map(({ lane, span }) => (
            <rect
              class={`action-${span.execution.state}${critical.has(span.execution) ? " critical" : ""}`}
              x={x(span.startMs).toFixed(1)}
              y={lane * LANE_HEIGHT + 1}
              width={Math.max(x(span.endMs) - x(span.startMs), 1).toFixed(1)}
              height={LANE_HEIGHT - 2}
              rx="1"
            >
              <title>{`${span.execution.mnemonic} ${span.execution.title} ${durationText(span.endMs - span.startMs)}`}</title>
            </rect>
          ))}
        </svg>
      </div>
      <figcaption>
        <span class="key key-action">from the lease to the end</span>
        {critical.size > 0 && <span class="key key-critical">critical path</span>}
        <span class="key key-failed">failed</span>
      </figcaption>
    </figure>
  );
}

/** Round numbers of milliseconds from 0 on, some five of them. */
function ticksOf(totalMs: number): number[] {
  const rough = totalMs / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const stepMs = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? rough;
  const ticks: number[] = [];
  for (let ms = 0; ms < totalMs * 0.96; ms += stepMs) ticks.push(ms);
  return ticks;
}
