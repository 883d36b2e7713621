import type { BlobStore } from "../blob-store/blob-store.ts";
import type { Digest } from "../digest/digest.ts";
import { parseByteRange } from "./byte-range.ts";

/** The answer to a GET or HEAD of a blob that was found: its bytes or a range of them, with its hash as the ETag. */
export async function serveBlob(request: Request, blobs: BlobStore, digest: Digest): Promise<Response> {
  const { sizeBytes } = digest;
  const etag = `"${digest.hash}"`;
  const headers = new Headers({ etag, "accept-ranges": "bytes", "content-type": "application/octet-stream" });
  if (matches(request.headers.get("if-none-match"), etag)) return new Response(null, { status: 304, headers });

  // A range of what the client has in another version is of no use to it.
  const condition = request.headers.get("if-range");
  const wanted = condition === null || condition === etag ? request.headers.get("range") : null;
  // RFC 9110 defines ranges for GET alone.
  const range = request.method === "GET" ? parseByteRange(wanted, sizeBytes) : "all";
  if (range === "unsatisfiable") {
    headers.set("content-range", `bytes */${sizeBytes}`);
    return new Response(null, { status: 416, headers });
  }
  const { startBytes, endBytes } = range === "all" ? { startBytes: 0, endBytes: sizeBytes } : range;
  const lengthBytes = endBytes - startBytes;
  headers.set("content-length", String(lengthBytes));
  if (request.method === "HEAD") return new Response(null, { headers });

  const stream = await blobs.read(digest, { offsetBytes: startBytes, limitBytes: lengthBytes });
  if (stream === undefined) return notFound();
  if (range !== "all") headers.set("content-range", `bytes ${startBytes}-${endBytes - 1}/${sizeBytes}`);
  // A stream of known length, else the platform sends chunks and no Content-Length.
  return new Response(stream.pipeThrough(new FixedLengthStream(lengthBytes)), {
    status: range === "all" ? 200 : 206,
    headers,
  });
}

export function notFound(): Response {
  return new Response("not in the cache\n", { status: 404 });
}

/** Whether an `If-None-Match` header lists the ETag. */
function matches(header: string | null, etag: string): boolean {
  return (header ?? "").split(",").some((item) => ["*", etag, `W/${etag}`].includes(item.trim()));
}
