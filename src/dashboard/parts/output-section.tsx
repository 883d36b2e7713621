import type { OutputStream } from "../../execution/operation-message.ts";
import { type EndedOutput, SHOWN_BYTES } from "../output/ended-output.ts";
import { StyledOutput } from "./styled-output.tsx";
import { sizeText } from "./text.ts";

/** @param href where the whole of it can be had; undefined where it can't */
export function EndedOutputSection({
  href,
  output,
}: {
  readonly href: string | undefined;
  readonly output: EndedOutput;
}) {
  const { pieces, sizeBytes, stream } = output;
  return (
    <section aria-labelledby={stream}>
      <h2 id={stream}>
        {stream} <small>{sizeBytes === 0 ? "empty" : sizeText(sizeBytes)}</small>
        {href !== undefined && sizeBytes > 0 && (
          <a class="aside" href={href}>
            Download
          </a>
        )}
      </h2>
      {pieces === undefined ? (
        <p class="none">It is no longer in the CAS.</p>
      ) : (
        sizeBytes > 0 && (
          <>
            {sizeBytes > SHOWN_BYTES && (
              <p class="quiet">The last {sizeText(SHOWN_BYTES)} of it; the whole can be downloaded.</p>
            )}
            <pre class="terminal" role="group" tabindex={0} aria-label={stream}>
              <StyledOutput pieces={pieces} />
            </pre>
          </>
        )
      )}
    </section>
  );
}

/** What an action that runs writes, as it writes it. Where no scripts run, a link shows what there is. */
export function LiveOutputSection({ href, stream }: { readonly href: string; readonly stream: OutputStream }) {
  return (
    <section aria-labelledby={stream}>
      <h2 id={stream}>
        {stream} <small>live</small>
        <a class="aside" href={href}>
          As text
        </a>
      </h2>
      <pre class="terminal" role="log" tabindex={0} aria-label={stream} data-stream={href} />
    </section>
  );
}
