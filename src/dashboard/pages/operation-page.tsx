import { mayOn } from "../../access/caller.ts";
import { locateOperation, unknownOperationError } from "../../instance-object/instance-objects.ts";
import { formatOperationName, type OperationName } from "../../instance-object/operation-name.ts";
import type { ActionResult } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { OperationInspection } from "../../../protos/gen/remex/instance/v1/instance_pb.ts";
import { cacheMiss } from "../difference/cache-miss.ts";
import { actionDigestOf, type ExecutionView, executionView, isLive } from "../execution-view.ts";
import { inspectOperation } from "../known-executions.ts";
import { endedOutput } from "../output/ended-output.ts";
import { type InstanceVisit, isRefresh, type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { CacheMissText } from "../parts/cache-miss-text.tsx";
import { CommandSection } from "../parts/command-section.tsx";
import { ActionName } from "../parts/execution-table.tsx";
import { EndedOutputSection, LiveOutputSection } from "../parts/output-section.tsx";
import { OutputsTable } from "../parts/outputs-table.tsx";
import { StageChart } from "../parts/stage-chart.tsx";
import { StateMark } from "../parts/state-mark.tsx";
import { durationText, shareText } from "../parts/text.ts";
import { Time } from "../parts/time.tsx";
import { blobPath, instanceNameOf, invocationPath, operationPath } from "../paths.ts";
import { readStoredAction } from "../stored-action.ts";
import { stagesOf, totalsByStage } from "../timeline.ts";
import { waitingText } from "../waiting-text.ts";

const STREAMS = ["stdout", "stderr"] as const;

/** What a page of an operation is made of. */
interface Subject {
  readonly operation: OperationName;
  readonly visit: InstanceVisit;
  readonly inspection: OperationInspection;
  readonly execution: ExecutionView;
  readonly nowMs: number;
}

/** `/ui/{instance}/operations/{shard}/{id}` */
export async function operationPage(c: PageContext<"/ui/:instance/operations/:shard/:id">): Promise<Response> {
  const visit = await visitInstance(c, c.req.param("instance"), "see-operations");
  const operation = operationOf(c, visit);
  const inspection = await inspectOperation(c.env, operation);
  if (inspection?.execution === undefined) throw unknownOperationError(formatOperationName(operation));
  const execution = executionView(operation, inspection.execution, inspection.error);
  const subject: Subject = { operation, visit, inspection, execution, nowMs: Date.now() };
  const frame = {
    title: execution.title,
    instanceName: visit.config.name,
    visitorName: visitorName(visit.caller),
  };
  const changing = (
    <>
      <Progress {...subject} />
      <div id="output" data-refresh={isLive(execution) ? "2" : undefined} data-version={versionOf(execution)}>
        {await outputSections(subject)}
      </div>
    </>
  );
  if (isRefresh(c)) return renderPage(c, frame, changing);

  const readable = mayOn(visit.caller, visit.config.name, "read-blobs");
  const stored = readable ? await readStoredAction(visit.blobs, actionDigestOf(execution.known)) : undefined;
  const miss = readable ? await cacheMiss(c.env, visit, execution, stored) : undefined;
  return renderPage(
    c,
    frame,
    <>
      <h1 class="action-name">
        <ActionName execution={execution} />
      </h1>
      {changing}
      {miss !== undefined && (
        <section aria-labelledby="cache">
          <h2 id="cache">Why it was not in the cache</h2>
          <CacheMissText miss={miss} nowMs={subject.nowMs} />
        </section>
      )}
      {!readable && (
        <p class="none">
          The command, the inputs and the outputs are in the CAS, which takes one of the roles cache-reader,
          cache-writer and executor to read.
        </p>
      )}
      {readable && stored === undefined && <p class="none">The action itself is no longer in the CAS.</p>}
      {stored !== undefined && <CommandSection instanceName={visit.config.name} stored={stored} />}
      <Facts {...subject} />
    </>,
  );
}

function operationOf(c: PageContext<"/ui/:instance/operations/:shard/:id">, { caller }: InstanceVisit): OperationName {
  const { id, instance, shard } = c.req.param();
  const name = formatOperationName({ instanceName: instanceNameOf(instance), shard: Number(shard), id });
  return locateOperation(c.env, caller, name, "see-operations");
}

/** Changes when what the operation has put out is to be read anew. */
function versionOf({ known, state }: ExecutionView): string {
  return `${state}-${known.record?.leaseCount ?? 0}`;
}

/** How it stands, where its time went, and what became of earlier attempts. */
function Progress({ execution, inspection, nowMs }: Subject) {
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
      {inspection.waiting !== undefined && (
        <p class="notice" role="status">
          {waitingText(inspection.waiting, nowMs)}
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
function spentText(stages: ReturnType<typeof stagesOf>): string {
  const totals = totalsByStage(stages);
  const allMs = totals.reduce((sum, { totalMs }) => sum + totalMs, 0);
  const [most] = totals;
  if (most === undefined || allMs === 0) return "";
  const label = `${most.label.slice(0, 1).toLowerCase()}${most.label.slice(1)}`;
  return `${durationText(allMs)} in all, ${shareText(most.totalMs / allMs)} of it ${label}`;
}

async function outputSections(subject: Subject) {
  const { execution, operation, visit } = subject;
  const { known, state } = execution;
  const instanceName = visit.config.name;
  if (state === "queued") return null;
  if (state === "running") {
    return STREAMS.map((stream) => (
      <LiveOutputSection href={`${operationPath(operation)}/${stream}`} stream={stream} />
    ));
  }
  const result = await resultOf(subject);
  if (result === undefined) return null;
  if (!mayOn(visit.caller, instanceName, "read-blobs")) return null;
  const { digestFunction } = actionDigestOf(known);
  const outputs = await Promise.all(STREAMS.map((stream) => endedOutput(visit.blobs, digestFunction, result, stream)));
  return (
    <>
      {outputs
        .filter(({ sizeBytes }) => sizeBytes > 0)
        .map((output) => (
          <EndedOutputSection
            output={output}
            href={output.digest && `${blobPath(instanceName, "files", output.digest, output.stream)}?download`}
          />
        ))}
      {outputs.every(({ sizeBytes }) => sizeBytes === 0) && (
        <p class="none">It has written nothing to stdout and stderr.</p>
      )}
      <section aria-labelledby="outputs">
        <h2 id="outputs">Outputs</h2>
        <OutputsTable digestFunction={digestFunction} instanceName={instanceName} result={result} />
      </section>
    </>
  );
}

/** The result; where its outputs were too many to be remembered, as the action cache has it. */
async function resultOf({ execution, visit }: Subject): Promise<ActionResult | undefined> {
  const { known, result, state } = execution;
  if (!known.outputsOmitted || state !== "succeeded") return result;
  return (await visit.actionCache.get(actionDigestOf(known))) ?? result;
}

function Facts({ execution, operation, visit }: Subject) {
  const { invocationId, known } = execution;
  const { request } = known;
  const digest = actionDigestOf(known);
  const metadata = request?.requestMetadata;
  const facts: readonly (readonly [string, unknown])[] = [
    ["Operation", <span class="id">{formatOperationName(operation)}</span>],
    [
      "Action",
      <a class="id" href={blobPath(visit.config.name, "actions", digest)}>
        {digest.hash}/{digest.sizeBytes}
      </a>,
    ],
    [
      "Build",
      invocationId === "" ? undefined : (
        <a class="id" href={invocationPath(visit.config.name, invocationId)}>
          {invocationId}
        </a>
      ),
    ],
    ["Output", request?.primaryOutput === "" ? undefined : <span class="id">{request?.primaryOutput}</span>],
    ["Configuration", metadata?.configurationId],
    ["Client", [metadata?.toolDetails?.toolName, metadata?.toolDetails?.toolVersion].filter(Boolean).join(" ")],
    ["Platform", (request?.platform?.properties ?? []).map(({ name, value }) => `${name}=${value}`).join(", ")],
    ["Time limit", request?.timeout && durationText(Number(request.timeout.seconds) * 1000)],
    [
      "Operations",
      (known.record?.operations.length ?? 0) > 1 ? `${known.record?.operations.length} share this execution` : "",
    ],
  ];
  return (
    <section aria-labelledby="facts">
      <h2 id="facts">Details</h2>
      <dl class="facts">
        {facts
          .filter(([, value]) => value !== undefined && value !== "")
          .map(([label, value]) => (
            <div>
              <dt>{label}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
    </section>
  );
}
