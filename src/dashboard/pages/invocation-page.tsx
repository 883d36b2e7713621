import { Code, ConnectError } from "@connectrpc/connect";
import { buildBill } from "../../billing/usage.ts";
import { openCacheShards } from "../../cache-shards/cache-shards.ts";
import { type ExecutionView, isLive } from "../execution-view.ts";
import { criticalPath, type PathStep } from "../invocation/critical-path.ts";
import { invocationExecutions } from "../known-executions.ts";
import { isRefresh, type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { BuildChart } from "../parts/build-chart.tsx";
import { ActionName, ExecutionTable } from "../parts/execution-table.tsx";
import { type Figure, Figures } from "../parts/figures.tsx";
import { countText, dollarText, durationText, numberText, shareText } from "../parts/text.ts";
import { Time } from "../parts/time.tsx";

/** So many actions of a build are looked at, and so many of each list are shown. */
const MAX = { executions: 5000, slowest: 20, failed: 50, path: 30 };

/** `/ui/{instance}/invocations/{tool_invocation_id}`: a build. */
export async function invocationPage(c: PageContext<"/ui/:instance/invocations/:invocation">): Promise<Response> {
  const { caller, config } = await visitInstance(c, c.req.param("instance"), "see-operations");
  const id = c.req.param("invocation");
  const [executions, lookups] = await Promise.all([
    invocationExecutions(c.env, config, id, MAX.executions),
    openCacheShards(c.env, config.storeName, config.store).actionResults.lookups(config.name, id),
  ]);
  const cacheHits = lookups.found;
  if (executions.length === 0 && cacheHits === 0) {
    throw new ConnectError(
      `nothing is known of build ${JSON.stringify(id.slice(0, 256))}: it ran nothing here, or that was too long ago ` +
        `(the last ${config.scheduler.max_history_actions} actions are remembered)`,
      Code.NotFound,
    );
  }
  const nowMs = Date.now();
  const path = criticalPath(executions);
  const live = executions.filter(isLive);
  const slowest = executions.toSorted((a, b) => tookMs(b, nowMs) - tookMs(a, nowMs)).slice(0, MAX.slowest);
  const failed = executions.filter(({ state }) => state === "failed" || state === "refused").slice(0, MAX.failed);
  const frame = { title: "Build", instanceName: config.name, visitorName: visitorName(caller) };
  const content = (
    <div id="build" data-refresh={refreshSeconds(executions.length, live.length)}>
      <Figures numbers={figuresOf(executions, cacheHits, nowMs)} />
      {executions.length === MAX.executions && (
        <p class="notice">Only {countText(MAX.executions, "action")} of this build are looked at here.</p>
      )}
      <BuildChart executions={executions} critical={new Set(path.map(({ execution }) => execution))} nowMs={nowMs} />
      {failed.length > 0 && (
        <section aria-labelledby="failed">
          <h2 id="failed">Failed</h2>
          <ExecutionTable caption="Failed actions" executions={failed} nowMs={nowMs} />
        </section>
      )}
      {live.length > 0 && (
        <section aria-labelledby="live">
          <h2 id="live">Under way</h2>
          <ExecutionTable caption="Actions under way" executions={live.slice(0, MAX.slowest)} nowMs={nowMs} />
        </section>
      )}
      {path.length > 0 && <CriticalPath path={path} />}
      {executions.length > 0 && (
        <section aria-labelledby="slowest">
          <h2 id="slowest">Slowest actions</h2>
          <ExecutionTable caption="Slowest actions" executions={slowest} nowMs={nowMs} />
        </section>
      )}
      <Cost executions={executions} cacheHits={cacheHits} inlineMaxBytes={config.store.inline_max_bytes} />
    </div>
  );
  if (isRefresh(c)) return renderPage(c, frame, content);
  const [first] = executions;
  return renderPage(
    c,
    frame,
    <>
      <h1>Build</h1>
      <p class="standing">
        <span class="id">{id}</span>
        {first !== undefined && (
          <span class="quiet">
            began <Time atMs={first.queuedAtMs} nowMs={nowMs} />
          </span>
        )}
      </p>
      {content}
    </>,
  );
}

/** A large build is asked for less often: each time all of its actions are read. */
function refreshSeconds(all: number, live: number): string | undefined {
  if (live === 0) return undefined;
  return all > 500 ? "20" : "3";
}

function tookMs({ endedAtMs, leasedAtMs }: ExecutionView, nowMs: number): number {
  return leasedAtMs === undefined ? 0 : (endedAtMs ?? nowMs) - leasedAtMs;
}

function figuresOf(executions: readonly ExecutionView[], cacheHits: number, nowMs: number): Figure[] {
  const startMs = Math.min(...executions.map(({ queuedAtMs }) => queuedAtMs));
  const endMs = Math.max(...executions.map(({ endedAtMs }) => endedAtMs ?? nowMs));
  const busyMs = executions.reduce((sum, execution) => sum + tookMs(execution, nowMs), 0);
  const failed = executions.filter(({ state }) => state === "failed" || state === "refused").length;
  const actions = executions.length + cacheHits;
  return [
    { label: "Actions", value: numberText(actions) },
    { label: "Executed", value: numberText(executions.length), note: failed > 0 ? `${failed} failed` : "" },
    { label: "Found in the cache", value: shareText(cacheHits / actions), note: countText(cacheHits, "hit") },
    ...(executions.length === 0
      ? []
      : [
          {
            label: "Time",
            value: durationText(endMs - startMs),
            note: endMs > startMs ? `${(busyMs / (endMs - startMs)).toFixed(1)} at once` : "",
          },
          { label: "Agents' time", value: durationText(busyMs) },
        ]),
  ];
}

function CriticalPath({ path }: { readonly path: readonly PathStep[] }) {
  const totalMs = path.reduce((sum, { gapMs, tookMs }) => sum + gapMs + tookMs, 0);
  const clientMs = path.reduce((sum, { gapMs }) => sum + gapMs, 0);
  const shown = path.toSorted((a, b) => b.tookMs - a.tookMs).slice(0, MAX.path);
  const steps = path.filter((step) => shown.includes(step));
  return (
    <section aria-labelledby="path">
      <h2 id="path">
        Critical path{" "}
        <small>
          {countText(path.length, "action")}, {durationText(totalMs)}, {durationText(clientMs)} of it between actions
        </small>
      </h2>
      <p class="quiet">
        By times alone: it ends with the action that ended last, and before each comes the one that ended last before
        that was queued. The protocol does not say which action needs which.
      </p>
      <ol class="path">
        {steps.map(({ execution, gapMs, tookMs: took }) => (
          <li>
            <a href={execution.path}>
              <ActionName execution={execution} />
            </a>
            <span class="number">{durationText(took)}</span>
            <span class="quiet">{stepText(execution, gapMs)}</span>
          </li>
        ))}
      </ol>
      {steps.length < path.length && <p class="quiet">The longest {steps.length} of them.</p>}
    </section>
  );
}

/** `304 ms later, waited 1.57 s` */
function stepText({ leasedAtMs, queuedAtMs }: ExecutionView, gapMs: number): string {
  const waitedMs = (leasedAtMs ?? queuedAtMs) - queuedAtMs;
  const parts = [gapMs > 0 && `${durationText(gapMs)} later`, waitedMs > 0 && `waited ${durationText(waitedMs)}`];
  return parts.filter((part) => part !== false).join(", ");
}

interface CostProps {
  readonly executions: readonly ExecutionView[];
  readonly cacheHits: number;
  readonly inlineMaxBytes: number;
}

/** What the build has cost, item by item. */
function Cost({ cacheHits, executions, inlineMaxBytes }: CostProps) {
  const sizes = executions.flatMap(
    ({ result }) => result?.outputFiles.map(({ digest }) => Number(digest?.sizeBytes ?? 0n)) ?? [],
  );
  const bill = buildBill({
    executed: executions.length,
    cacheHits,
    outputs: sizes.length,
    largeOutputs: sizes.filter((sizeBytes) => sizeBytes > inlineMaxBytes).length,
  });
  const lines = bill.lines.filter(({ usdPerMillion }) => usdPerMillion > 0);
  const totalUsd = bill.usdPerMillion / 1e6;
  return (
    <section aria-labelledby="cost">
      <h2 id="cost">
        Cost <small>about {dollarText(totalUsd)}</small>
      </h2>
      <p class="quiet">
        An estimate of what Cloudflare asks for, at the prices of the paid plan: what an executed action, a hit and an
        output take by the bench, times how many of each there were. Neither what the plan includes nor the storage is
        in it, nor the machines of the agents.
      </p>
      <table class="cost">
        <thead>
          <tr>
            <th scope="col">Item</th>
            <th scope="col" class="number">
              Used
            </th>
            <th scope="col" class="number">
              Dollars
            </th>
            <th scope="col">
              <span class="unseen">Share</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {lines.map(({ item, perUnit, usdPerMillion }) => (
            <tr>
              <th scope="row">{item}</th>
              <td class="number">{numberText(Math.ceil(perUnit))}</td>
              <td class="number">{dollarText(usdPerMillion / 1e6)}</td>
              <td class="bar-cell">
                <svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
                  <rect
                    class="load-used"
                    x="0"
                    y="1"
                    width={((usdPerMillion / bill.usdPerMillion) * 1000).toFixed(0)}
                    height="8"
                  />
                </svg>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
