// The physical limit of ByteStream: a Worker that does nothing but put and get, with objects as one or in parts.
import { PART_BYTES_HEADER } from "../baselines/raw-r2-protocol.ts";

interface RawR2Env {
  readonly BUCKET: R2Bucket;
}

/** How much of a part is moved at once. */
const PIECE_BYTES = 256 << 10;

export default {
  async fetch(request, { BUCKET }) {
    const key = new URL(request.url).pathname.slice(1);
    if (request.method === "PUT") {
      const partBytes = Number(request.headers.get(PART_BYTES_HEADER));
      const sizeBytes = Number(request.headers.get("content-length"));
      const body: ReadableStream<Uint8Array> | null = request.body;
      if (partBytes === 0 || body === null) await BUCKET.put(key, body);
      else await putParts(await BUCKET.createMultipartUpload(key), body, sizeBytes, partBytes);
      return new Response(null, { status: 204 });
    }
    const object = await BUCKET.get(key);
    if (object === null) return new Response(null, { status: 404 });
    // Of another type the local runtime might compress it.
    return new Response(object.body, { headers: { "content-type": "application/octet-stream" } });
  },
} satisfies ExportedHandler<RawR2Env>;

async function putParts(
  upload: R2MultipartUpload,
  body: ReadableStream<Uint8Array>,
  sizeBytes: number,
  partBytes: number,
): Promise<void> {
  const reader = body.getReader({ mode: "byob" });
  const parts: Promise<R2UploadedPart>[] = [];
  for (let start = 0; start < sizeBytes; start += partBytes) {
    const lengthBytes = Math.min(partBytes, sizeBytes - start);
    const { readable, writable } = new FixedLengthStream(lengthBytes);
    parts.push(upload.uploadPart(parts.length + 1, readable));
    const writer = writable.getWriter();
    for (let left = lengthBytes; left > 0;) {
      const piece = await reader.readAtLeast(1, new Uint8Array(Math.min(PIECE_BYTES, left)));
      if (piece.value === undefined) throw new Error(`${left} bytes of a part did not come`);
      left -= piece.value.length;
      await writer.write(piece.value);
    }
    await writer.close();
  }
  await upload.complete(await Promise.all(parts));
}
