import type { ExecutionView } from "../execution-view.ts";
import { durationText, shortened } from "./text.ts";
import { StateMark } from "./state-mark.tsx";
import { Time } from "./time.tsx";

export interface ExecutionTableProps {
  /** Says what the rows are, for those who hear the page. */
  readonly caption: string;
  readonly executions: readonly ExecutionView[];
  readonly nowMs: number;
}

const MAX_NAME_LENGTH = 90;

/** Executions, a row each, with a link to the page of each. */
export function ExecutionTable({ caption, executions, nowMs }: ExecutionTableProps) {
  return (
    <div class="scroll" role="group" aria-label={caption} tabindex={0}>
      <table class="executions">
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Action</th>
            <th scope="col" class="wide">
              Agent
            </th>
            <th scope="col" class="number wide">
              Waited
            </th>
            <th scope="col" class="number">
              Took
            </th>
            <th scope="col" class="number wide">
              When
            </th>
          </tr>
        </thead>
        <tbody>
          {executions.map((execution) => (
            <ExecutionRow execution={execution} nowMs={nowMs} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function ExecutionRow({ execution, nowMs }: { readonly execution: ExecutionView; readonly nowMs: number }) {
  const { agentName, endedAtMs, leasedAtMs, path, queuedAtMs } = execution;
  const took = leasedAtMs === undefined ? undefined : (endedAtMs ?? nowMs) - leasedAtMs;
  const waitedMs = (leasedAtMs ?? endedAtMs ?? nowMs) - queuedAtMs;
  return (
    <tr>
      <td>
        <StateMark execution={execution} />
      </td>
      <th scope="row">
        <a href={path}>
          <ActionName execution={execution} />
        </a>
      </th>
      <td class="wide">{agentName}</td>
      <td class="number wide">{durationText(waitedMs)}</td>
      <td class="number">{took === undefined ? "" : durationText(took)}</td>
      <td class="number wide">
        <Time ago atMs={endedAtMs ?? leasedAtMs ?? queuedAtMs} nowMs={nowMs} />
      </td>
    </tr>
  );
}

/** Mnemonic, target, and the output where a target has several. */
export function ActionName({ execution }: { readonly execution: ExecutionView }) {
  const { mnemonic, subtitle, title } = execution;
  return (
    <>
      {mnemonic !== "" && <span class="mnemonic">{mnemonic} </span>}
      <span class="target">{shortened(title, MAX_NAME_LENGTH)}</span>
      {subtitle !== "" && <span class="output-name"> {shortened(subtitle, MAX_NAME_LENGTH)}</span>}
    </>
  );
}
