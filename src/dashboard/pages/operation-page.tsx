import { mayOn } from "../../access/caller.ts";
import { locateOperation, unknownOperationError } from "../../instance-object/instance-objects.ts";
import { formatOperationName, type OperationName } from "../../instance-object/operation-name.ts";
import type { ActionResult } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { cacheMiss } from "../difference/cache-miss.ts";
import { actionDigestOf, type ExecutionView, executionView, isLive } from "../execution-view.ts";
import { inspectOperation } from "../known-executions.ts";
import { type InstanceVisit, isRefresh, type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { CacheMissText } from "../parts/cache-miss-text.tsx";
import { CommandSection } from "../parts/command-section.tsx";
import { OperationFacts } from "../parts/operation-facts.tsx";
import { OperationProgress } from "../parts/operation-progress.tsx";
import { ResultSections } from "../parts/result-sections.tsx";
import { ActionName } from "../parts/execution-table.tsx";
import { LiveOutputSection } from "../parts/output-section.tsx";
import { instanceNameOf } from "../../instance-segment.ts";
import { operationPath } from "../paths.ts";
import { readStoredAction } from "../stored-action.ts";

const STREAMS = ["stdout", "stderr"] as const;

/** An operation, and who looks at it. */
interface Subject {
  readonly operation: OperationName;
  readonly visit: InstanceVisit;
  readonly execution: ExecutionView;
}

/** `/ui/{instance}/operations/{shard}/{id}` */
export async function operationPage(c: PageContext<"/ui/:instance/operations/:shard/:id">): Promise<Response> {
  const visit = await visitInstance(c, c.req.param("instance"), "see-operations");
  const operation = operationOf(c, visit);
  const inspection = await inspectOperation(c.env, operation);
  if (inspection?.execution === undefined) throw unknownOperationError(formatOperationName(operation));
  const execution = executionView(operation, inspection.execution, inspection.error);
  const nowMs = Date.now();
  const frame = {
    title: execution.title,
    instanceName: visit.config.name,
    visitorName: visitorName(visit.caller),
  };
  const changing = (
    <>
      <OperationProgress execution={execution} waiting={inspection.waiting} nowMs={nowMs} />
      <div id="output" data-refresh={isLive(execution) ? "2" : undefined} data-version={versionOf(execution)}>
        <OutputSections operation={operation} visit={visit} execution={execution} />
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
          <CacheMissText miss={miss} nowMs={nowMs} />
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
      <OperationFacts execution={execution} operation={operation} />
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

/** What it writes, live, or has written and put out. */
async function OutputSections({ execution, operation, visit }: Subject) {
  const { known, state } = execution;
  if (state === "queued") return null;
  if (state === "running") {
    return STREAMS.map((stream) => (
      <LiveOutputSection href={`${operationPath(operation)}/${stream}`} stream={stream} />
    ));
  }
  const result = await resultOf(execution, visit);
  if (result === undefined || !mayOn(visit.caller, visit.config.name, "read-blobs")) return null;
  const { digestFunction } = actionDigestOf(known);
  return <ResultSections instance={visit} digestFunction={digestFunction} result={result} />;
}

/** The result; where its outputs were too many to be remembered, as the action cache has it. */
async function resultOf(
  { known, result, state }: ExecutionView,
  visit: InstanceVisit,
): Promise<ActionResult | undefined> {
  if (!known.outputsOmitted || state !== "succeeded") return result;
  return (await visit.actionCache.get(actionDigestOf(known))) ?? result;
}
