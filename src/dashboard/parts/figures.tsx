import { freeSlotsOf } from "../../metrics/free-slots.ts";
import type { Overview } from "../known-executions.ts";
import { durationText, numberText } from "./text.ts";

export interface Figure {
  readonly label: string;
  readonly value: string;
  /** Small, after the value. */
  readonly note?: string | undefined;
}

/** A row of numbers with their names. */
export function Figures({ numbers }: { readonly numbers: readonly Figure[] }) {
  return (
    <dl class="figures">
      {numbers.map(({ label, note, value }) => (
        <div>
          <dt>{label}</dt>
          <dd>
            {value}
            {note !== undefined && note !== "" && <small> {note}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** How busy an instance is. */
export function numbersOf({ metrics }: Overview, nowMs = Date.now()): Figure[] {
  const groups = metrics.flatMap((shard) => shard.metrics.now.groups);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const queued = sum(groups.map((group) => group.queued));
  const oldestMs = Math.min(...groups.map(({ oldestQueuedAtMs }) => oldestQueuedAtMs ?? Infinity));
  const agents = metrics.map((shard) => shard.metrics.now.agents);
  const most = (of: "connected" | "draining") => Math.max(0, ...agents.map((counts) => counts[of]));
  const draining = most("draining");
  return [
    {
      label: "Queued",
      value: numberText(queued),
      note: queued > 0 ? `oldest ${durationText(nowMs - oldestMs)}` : "",
    },
    { label: "Running", value: numberText(sum(groups.map((group) => group.active))) },
    { label: "Free slots", value: numberText(freeSlotsOf(agents)) },
    { label: "Agents", value: String(most("connected")), note: draining > 0 ? `${draining} draining` : "" },
  ];
}
