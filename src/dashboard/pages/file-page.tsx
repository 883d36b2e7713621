import { digestKey } from "../../digest/digest.ts";
import { readChunks } from "../../bytes/read-chunks.ts";
import { contentOfBlob, serveContent } from "../../http-cache/serve-content.ts";
import { blobGone, blobOf } from "../blob-request.ts";
import { type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { sizeText } from "../parts/text.ts";
import { blobPath } from "../paths.ts";

/** How much of a file's beginning is shown on its page. */
const SHOWN_BYTES = 256 << 10;

type FileContext = PageContext<"/ui/:instance/files/:function/:hash/:size/:name">;

/** `/ui/{instance}/files/{function}/{hash}/{size}/{name}`: a file as text, and with `?download` its bytes. */
export async function filePage(c: FileContext): Promise<Response> {
  const { blobs, caller, config } = await visitInstance(c, c.req.param("instance"), "read-blobs");
  const digest = blobOf(c.req.param());
  const name = c.req.param("name");
  const [missing] = await blobs.findMissing([digest]);
  if (missing !== undefined) throw blobGone(digest);
  if (c.req.query("download") !== undefined) {
    const response = await serveContent(c.req.raw, contentOfBlob(blobs, digest));
    // What a build has put out is nobody's page: it is kept, never shown by the browser as this site's own.
    response.headers.set("content-disposition", `attachment; filename*=UTF-8''${extendedValue(name)}`);
    return response;
  }

  const limitBytes = Math.min(digest.sizeBytes, SHOWN_BYTES);
  const stream = await blobs.read(digest, { offsetBytes: 0, limitBytes });
  if (stream === undefined) throw blobGone(digest);
  const text = await textOf(stream, limitBytes);
  return renderPage(
    c,
    { title: name, instanceName: config.name, visitorName: visitorName(caller) },
    <>
      <h1>
        {name} <small>{sizeText(digest.sizeBytes)}</small>
        <a class="aside" href={`${blobPath(config.name, "files", digest, name)}?download`}>
          Download
        </a>
      </h1>
      {text === undefined ? (
        <p class="none">It is no text; download it to look into it.</p>
      ) : digest.sizeBytes === 0 ? (
        <p class="none">The file is empty.</p>
      ) : (
        <>
          {digest.sizeBytes > SHOWN_BYTES && (
            <p class="quiet">The first {sizeText(SHOWN_BYTES)} of it; the whole can be downloaded.</p>
          )}
          <pre class="terminal" role="group" tabindex={0} aria-label={name}>
            {text}
          </pre>
        </>
      )}
      <p class="quiet id">{digestKey(digest)}</p>
    </>,
  );
}

/** As RFC 8187 has it, which escapes more than addresses need. */
function extendedValue(text: string): string {
  const escaped = (character: string) => `%${character.charCodeAt(0).toString(16)}`;
  return encodeURIComponent(text.toWellFormed()).replace(/['()*]/g, escaped);
}

/** Undefined for what is no text. A character that the end cuts in two is left out. */
async function textOf(stream: ReadableStream<Uint8Array>, lengthBytes: number): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of readChunks(stream, { lengthBytes, maxBytes: SHOWN_BYTES }))
    text += decoder.decode(chunk, { stream: true });
  return text.includes("\0") ? undefined : text;
}
