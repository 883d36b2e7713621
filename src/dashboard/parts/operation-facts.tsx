import { formatOperationName, type OperationName } from "../../instance-object/operation-name.ts";
import { actionDigestOf, type ExecutionView } from "../execution-view.ts";
import { blobPath, invocationPath } from "../paths.ts";
import { durationText } from "./text.ts";

/** What else is known of an operation, and links to what it belongs to. */
export function OperationFacts(props: { readonly execution: ExecutionView; readonly operation: OperationName }) {
  const { execution, operation } = props;
  const { instanceName } = operation;
  const { invocationId, known } = execution;
  const { request } = known;
  const digest = actionDigestOf(known);
  const metadata = request?.requestMetadata;
  const facts: readonly (readonly [string, unknown])[] = [
    ["Operation", <span class="id">{formatOperationName(operation)}</span>],
    [
      "Action",
      <a class="id" href={blobPath(instanceName, "actions", digest)}>
        {digest.hash}/{digest.sizeBytes}
      </a>,
    ],
    [
      "Build",
      invocationId === "" ? undefined : (
        <a class="id" href={invocationPath(instanceName, invocationId)}>
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
