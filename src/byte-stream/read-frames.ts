import { readChunks } from "../bytes/read-chunks.ts";
import { FRAME_HEADROOM_BYTES, frameInPlace } from "./frame-in-place.ts";

/** How many bytes of data a frame has: few enough to begin soon, enough to make its header not count. */
export const READ_CHUNK_BYTES = 256 << 10;

/** A blob's bytes as the frames of a ByteStream.Read: each a ReadResponse in its envelope, made where the bytes lie. */
export async function* readFrames(
  stream: ReadableStream<Uint8Array>,
  lengthBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const chunks = readChunks(stream, {
    lengthBytes,
    maxBytes: READ_CHUNK_BYTES,
    minBytes: READ_CHUNK_BYTES,
    headroomBytes: FRAME_HEADROOM_BYTES,
  });
  for await (const data of chunks) yield frameInPlace(data);
}
