import { waitUntil } from "cloudflare:workers";
import { knownLengthStream } from "../bytes/known-length.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import { log } from "../log.ts";
import type { BlobRange } from "./blob-store.ts";
import type { ObjectReads } from "./object-reads.ts";

/** The Cache API takes no larger responses on the usual plans. */
const MAX_CACHED_BYTES = 512 << 20;

const COPY_BYTES = 256 << 10;

/** A name that nobody can have (RFC 6761), since the cache is by URL. */
const ORIGIN = "https://blobs.invalid";

/** Blobs never change. */
const HEADERS = { "cache-control": "public, max-age=31536000, immutable" };

/**
 * Keeps objects that were read in the cache of the data center that the Worker runs in, so that others who read them there
 * cost no R2 operation. It is asked only for an object that the index has just called live, on behalf of a caller who may
 * read it: so nothing is served that was removed, though the cache may still have it.
 *
 * On workers.dev the platform's cache keeps nothing: it takes a domain of one's own. A failure of the cache is one that
 * nobody needs to know of but the log.
 */
export class ColoCachedReads implements ObjectReads {
  readonly #next: ObjectReads;
  readonly #store: string;

  constructor(next: ObjectReads, store: string) {
    this.#next = next;
    this.#store = store;
  }

  async get(digest: Digest, uploadId: string, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    if (digest.sizeBytes > MAX_CACHED_BYTES) return this.#next.get(digest, uploadId, range);
    const url = `${ORIGIN}/${this.#store}/${digestKey(digest)}/${uploadId}`;
    const cached = await this.#match(url, digest, range);
    if (cached !== undefined) return cached;
    const stream = await this.#next.get(digest, uploadId, range);
    return stream === undefined || !isWhole(digest, range) ? stream : keepCopy(url, digest, stream);
  }

  async #match(url: string, digest: Digest, range?: BlobRange): Promise<ReadableStream<Uint8Array> | undefined> {
    const whole = isWhole(digest, range);
    const headers = whole ? {} : { range: toHeader(digest, range) };
    try {
      const response = await caches.default.match(new Request(url, { headers }));
      // What it has not made a range of is of no use where one is wanted.
      if (response?.status === (whole ? 200 : 206)) return response.body ?? undefined;
      await response?.body?.cancel();
    } catch (error) {
      log.warn({ error, url }, "the colo's cache can't be read");
    }
    return undefined;
  }
}

function isWhole({ sizeBytes }: Digest, range: BlobRange | undefined): boolean {
  const { offsetBytes, limitBytes = sizeBytes } = range ?? { offsetBytes: 0 };
  return offsetBytes === 0 && limitBytes >= sizeBytes;
}

function toHeader({ sizeBytes }: Digest, range: BlobRange | undefined): string {
  const { offsetBytes, limitBytes = sizeBytes } = range ?? { offsetBytes: 0 };
  return `bytes=${offsetBytes}-${Math.min(offsetBytes + limitBytes, sizeBytes) - 1}`;
}

/**
 * Passes a stream on and puts the same bytes into the cache. A piece is read when the reader has taken the one before and
 * waits for the cache to take it, so that no more than that is held; a reader who stops, or a stream that breaks, leaves
 * nothing in the cache.
 */
function keepCopy(url: string, { sizeBytes }: Digest, stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const kept = new FixedLengthStream(sizeBytes);
  const passedOn = knownLengthStream(sizeBytes);
  let broken = false;
  const put = caches.default.put(url, new Response(kept.readable, { headers: HEADERS })).catch((error: unknown) => {
    if (!broken) log.warn({ error, url }, "a blob could not be put into the colo's cache");
  });
  // Where the cache has had enough, or takes nothing, the reader gets the rest all the same. Why it failed, `put` says.
  const orEnough = (written: Promise<void>) => Promise.race([written.catch(() => undefined), put]);
  const copy = async () => {
    const cache = kept.writable.getWriter();
    const reader = passedOn.writable.getWriter();
    // What is wrong is told by the write that it fails.
    reader.closed.catch(() => undefined);
    try {
      const options = { lengthBytes: sizeBytes, maxBytes: COPY_BYTES, minBytes: COPY_BYTES };
      for await (const chunk of readChunks(stream, options)) {
        await orEnough(cache.write(chunk));
        await reader.write(chunk);
      }
      await orEnough(cache.close());
      await reader.close();
    } catch (error) {
      broken = true;
      await Promise.allSettled([cache.abort(error), reader.abort(error)]);
    }
  };
  waitUntil(Promise.all([put, copy()]));
  return passedOn.readable;
}
