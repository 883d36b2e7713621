import { digestKey } from "../../digest/digest.ts";
import { blobGone, blobOf } from "../blob-request.ts";
import { type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { CommandSection } from "../parts/command-section.tsx";
import { ResultSections } from "../parts/result-sections.tsx";
import { readStoredAction } from "../stored-action.ts";
import { authorizedInstance } from "../../access/authorized-instance.ts";

/** `/ui/{instance}/actions/{function}/{hash}/{size}`: an action as the CAS has it, and its cached result if it has one. */
export async function actionPage(c: PageContext<"/ui/:instance/actions/:function/:hash/:size">): Promise<Response> {
  const visit = await visitInstance(c, c.req.param("instance"), "read-blobs");
  const { actionCache, blobs, caller, config } = visit;
  authorizedInstance(c.env, caller, config.name, "read-action-results");
  const digest = blobOf(c.req.param());
  const [stored, result] = await Promise.all([readStoredAction(blobs, digest), actionCache.get(digest)]);
  if (stored === undefined && result === undefined) throw blobGone(digest);
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
      {result !== undefined && (
        <ResultSections instance={visit} digestFunction={digest.digestFunction} result={result} />
      )}
    </>,
  );
}
