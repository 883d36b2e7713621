import type { Stage } from "../timeline.ts";
import { durationText, shareText } from "./text.ts";

const WIDTH = 1000;

/** Below this a bar could not be seen. */
const MIN_WIDTH = 3;

/** Stages in time: a row each, with a bar from its beginning to its end on a scale that is the same for all. */
export function StageChart({ stages }: { readonly stages: readonly Stage[] }) {
  const startMs = stages[0]?.startMs ?? 0;
  const totalMs = Math.max((stages.at(-1)?.endMs ?? 0) - startMs, 1);
  const place = (ms: number) => ((ms - startMs) / totalMs) * WIDTH;
  return (
    <table class="stages">
      <caption class="unseen">Stages in time</caption>
      <colgroup>
        <col class="col-stage" />
        <col class="col-took" />
        <col class="col-share" />
        <col />
      </colgroup>
      <thead class="unseen">
        <tr>
          <th scope="col">Stage</th>
          <th scope="col">Took</th>
          <th scope="col">Share</th>
          <th scope="col">From when to when</th>
        </tr>
      </thead>
      <tbody>
        {stages.map(({ endMs, isOpen, label, name, startMs: fromMs }) => {
          const width = Math.max(place(endMs) - place(fromMs), MIN_WIDTH);
          return (
            <tr>
              <th scope="row">{isOpen ? `${label} …` : label}</th>
              <td class="number">{durationText(endMs - fromMs)}</td>
              <td class="number quiet">{shareText((endMs - fromMs) / totalMs)}</td>
              <td class="bar-cell">
                <svg class="bar" viewBox={`0 0 ${WIDTH} 10`} preserveAspectRatio="none" aria-hidden="true">
                  <rect class="track" x="0" y="4.5" width={WIDTH} height="1" />
                  <rect
                    class={`stage-${name}${isOpen ? " open" : ""}`}
                    x={Math.min(place(fromMs), WIDTH - width).toFixed(1)}
                    y="1"
                    width={width.toFixed(1)}
                    height="8"
                  />
                </svg>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
