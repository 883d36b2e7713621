import { digestKey } from "../../digest/digest.ts";
import { blobGone, blobOf } from "../blob-request.ts";
import { endedOutput } from "../output/ended-output.ts";
import { type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { CommandSection } from "../parts/command-section.tsx";
import { EndedOutputSection } from "../parts/output-section.tsx";
import { OutputsTable } from "../parts/outputs-table.tsx";
import { blobPath } from "../paths.ts";
import { readStoredAction } from "../stored-action.ts";
import { authorizedInstance } from "../../access/authorized-instance.ts";

/** `/ui/{instance}/actions/{function}/{hash}/{size}`: an action as the CAS has it, and its cached result if it has one. */
export async function actionPage(c: PageContext<"/ui/:instance/actions/:function/:hash/:size">): Promise<Response> {
  const { actionCache, blobs, caller, config } = await visitInstance(c, c.req.param("instance"), "read-blobs");
  authorizedInstance(c.env, caller, config.name, "read-action-results");
  const digest = blobOf(c.req.param());
  const [stored, result] = await Promise.all([readStoredAction(blobs, digest), actionCache.get(digest)]);
  if (stored === undefined && result === undefined) throw blobGone(digest);
  const { digestFunction } = digest;
  const outputs =
    result === undefined
      ? []
      : await Promise.all(
          (["stdout", "stderr"] as const).map((stream) => endedOutput(blobs, digestFunction, result, stream)),
        );
  return renderPage(
    c,
    { title: `Action ${digest.hash.slice(0, 12)}`, instanceName: config.name, visitorName: visitorName(caller) },
    <>
      <h1>
        Action <span class="id">{digest.hash.slice(0, 12)}</span>
      </h1>
      <p class="quiet id">{digestKey(digest)}</p>
      <p>
        {result === undefined
          ? "The action cache has no result of it."
          : `The action cache has its result: exit code ${result.exitCode}.`}
      </p>
      {stored === undefined ? (
        <p class="none">The action itself is no longer in the CAS.</p>
      ) : (
        <CommandSection instanceName={config.name} stored={stored} />
      )}
      {outputs
        .filter(({ sizeBytes }) => sizeBytes > 0)
        .map((output) => (
          <EndedOutputSection
            output={output}
            href={output.digest && `${blobPath(config.name, "files", output.digest, output.stream)}?download`}
          />
        ))}
      {result !== undefined && (
        <section aria-labelledby="outputs">
          <h2 id="outputs">Outputs</h2>
          <OutputsTable digestFunction={digestFunction} instanceName={config.name} result={result} />
        </section>
      )}
    </>,
  );
}
