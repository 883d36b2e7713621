import { withKnownLength } from "../bytes/known-length.ts";
import type { BlobRange, BlobStore } from "../blob-store/blob-store.ts";
import { SHA256 } from "../digest/digest-function.ts";
import type { Digest } from "../digest/digest.ts";
import { startHash } from "../digest/verify.ts";
import { parseByteRange } from "./byte-range.ts";

/** What a cache entry holds. */
export interface Content {
  /** Of all its bytes; the ETag. */
  readonly hash: string;
  readonly sizeBytes: number;
  /** The bytes of a range, or undefined if it has just been removed. */
  open(range: BlobRange): Promise<ReadableStream<Uint8Array> | undefined>;
}

export function contentOfBlob(blobs: BlobStore, digest: Digest): Content {
  return { hash: digest.hash, sizeBytes: digest.sizeBytes, open: (range) => blobs.read(digest, range) };
}

export function contentOfBytes(bytes: Uint8Array): Content {
  return {
    hash: startHash(SHA256).update(bytes).digest("hex"),
    sizeBytes: bytes.length,
    open: ({ offsetBytes, limitBytes = bytes.length }) =>
      Promise.resolve(new Response(bytes.slice(offsetBytes, offsetBytes + limitBytes)).body ?? undefined),
  };
}

/** The answer to a GET or HEAD of what was found: its bytes or a range of them, with its hash as the ETag. */
export async function serveContent(request: Request, content: Content): Promise<Response> {
  const { hash, sizeBytes } = content;
  const etag = `"${hash}"`;
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

  const stream = await content.open({ offsetBytes: startBytes, limitBytes: lengthBytes });
  if (stream === undefined) return notFound();
  if (range !== "all") headers.set("content-range", `bytes ${startBytes}-${endBytes - 1}/${sizeBytes}`);
  return new Response(withKnownLength(stream, lengthBytes), {
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
