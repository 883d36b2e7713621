import { platformText } from "../../metrics/instance-metrics.ts";
import { instanceOverview, type Overview } from "../known-executions.ts";
import { type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { ExecutionTable, type ExecutionTableProps } from "../parts/execution-table.tsx";
import { Figures, numbersOf } from "../parts/figures.tsx";
import { InstanceName } from "../parts/layout.tsx";
import { countText, durationText } from "../parts/text.ts";
import { Time } from "../parts/time.tsx";
import type { ExecutionView } from "../execution-view.ts";
import { invocationPath } from "../paths.ts";

/** How many executions of each kind are listed. */
const LISTED = 50;

const MAX_INVOCATIONS = 8;

/** `/ui/{instance}`: its queue, and what runs, waits and has ended lately. */
export async function instancePage(c: PageContext<"/ui/:instance">): Promise<Response> {
  const { caller, config } = await visitInstance(c, c.req.param("instance"), "see-operations");
  const overview = await instanceOverview(c.env, config, LISTED);
  const { ended, queued, running } = overview;
  const nowMs = Date.now();
  return renderPage(
    c,
    {
      title: config.name || "Instance",
      instanceName: config.name,
      current: "overview",
      visitorName: visitorName(caller),
    },
    <>
      <h1>
        <InstanceName name={config.name} />
      </h1>
      <div id="standing" data-refresh="2">
        <Figures numbers={numbersOf(overview, nowMs)} />
        <Platforms overview={overview} nowMs={nowMs} />
        <Invocations executions={[...running, ...queued, ...ended]} instanceName={config.name} nowMs={nowMs} />
        <Listed caption="Running" executions={running} nowMs={nowMs} />
        <Listed caption="Queued" executions={queued} nowMs={nowMs} />
        <Listed caption="Finished" executions={ended} nowMs={nowMs} />
        {running.length + queued.length + ended.length === 0 && (
          <p class="none">Nothing has run here yet. What builds send shows up by itself.</p>
        )}
      </div>
    </>,
  );
}

/** A section of executions; none where there are none. */
function Listed({ caption, executions, nowMs }: ExecutionTableProps) {
  if (executions.length === 0) return null;
  const id = caption.toLowerCase();
  return (
    <section aria-labelledby={id}>
      <h2 id={id}>{caption}</h2>
      <ExecutionTable caption={caption} executions={executions} nowMs={nowMs} />
    </section>
  );
}

function Platforms({ nowMs, overview }: { readonly overview: Overview; readonly nowMs: number }) {
  const groups = overview.metrics.flatMap(({ metrics }) => metrics.now.groups);
  if (groups.length === 0) return null;
  return (
    <section aria-labelledby="platforms">
      <h2 id="platforms">Platforms</h2>
      <div class="scroll" role="group" aria-label="Platforms" tabindex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Actions that ask for</th>
              <th scope="col" class="number">
                Queued
              </th>
              <th scope="col" class="number">
                Running
              </th>
              <th scope="col" class="number">
                Oldest waits
              </th>
              <th scope="col" class="number">
                Agents
              </th>
            </tr>
          </thead>
          <tbody>
            {groups.map(({ active, agents, oldestQueuedAtMs, queued, requirement }) => (
              <tr>
                <th scope="row">{platformText(requirement).replaceAll(",", ", ") || "any platform"}</th>
                <td class="number">{queued}</td>
                <td class="number">{active}</td>
                <td class="number">{oldestQueuedAtMs === undefined ? "" : durationText(nowMs - oldestQueuedAtMs)}</td>
                <td class={agents === 0 ? "number bad" : "number"}>{agents === 0 ? "none" : agents}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

interface InvocationsProps {
  readonly executions: readonly ExecutionView[];
  readonly instanceName: string;
  readonly nowMs: number;
}

/** The builds that the listed executions belong to, the latest first. */
function Invocations({ executions, instanceName, nowMs }: InvocationsProps) {
  const invocations = Map.groupBy(executions, ({ invocationId }) => invocationId);
  invocations.delete("");
  const latest = Array.from(invocations, ([id, members]) => ({
    id,
    members,
    atMs: Math.max(...members.map(({ endedAtMs, queuedAtMs }) => endedAtMs ?? queuedAtMs)),
  }))
    .sort((a, b) => b.atMs - a.atMs)
    .slice(0, MAX_INVOCATIONS);
  if (latest.length === 0) return null;
  return (
    <section aria-labelledby="invocations">
      <h2 id="invocations">Builds</h2>
      <ul class="lines">
        {latest.map(({ atMs, id, members }) => (
          <li>
            <a href={invocationPath(instanceName, id)} class="id">
              {id}
            </a>
            <span class="quiet">
              {countText(members.length, "action")} of those below, last <Time ago atMs={atMs} nowMs={nowMs} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
