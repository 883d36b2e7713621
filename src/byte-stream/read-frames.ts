import { readChunks } from "../bytes/read-chunks.ts";

/** How many bytes of data a frame has: few enough to begin soon, enough to make its header not count. */
export const READ_CHUNK_BYTES = 256 << 10;

/** An envelope's flags and length. */
const ENVELOPE_BYTES = 5;

/** `ReadResponse.data`: field 10, length-delimited. */
const DATA_TAG = (10 << 3) | 2;

/** A tag, and a length of 7 bits a byte: three are enough for 2 MiB. */
const MAX_MESSAGE_HEADER_BYTES = 1 + 3;

/** A blob's bytes as the frames of a ByteStream.Read: each a ReadResponse in its envelope, made where the bytes lie. */
export async function* readFrames(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const chunks = readChunks(stream, {
    maxBytes: READ_CHUNK_BYTES,
    minBytes: READ_CHUNK_BYTES,
    headroomBytes: ENVELOPE_BYTES + MAX_MESSAGE_HEADER_BYTES,
  });
  for await (const data of chunks) yield frameInPlace(data);
}

/**
 * The frame of a ReadResponse with this data, of at most 2 MiB, in the same buffer.
 * @param data has at least 9 bytes free before it.
 */
export function frameInPlace(data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const header = [DATA_TAG];
  for (let rest = data.length; ; rest >>>= 7) {
    header.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80);
    if (rest < 0x80) break;
  }
  const messageBytes = header.length + data.length;
  const frameStart = data.byteOffset - header.length - ENVELOPE_BYTES;
  const frame = new Uint8Array(data.buffer, frameStart, ENVELOPE_BYTES + messageBytes);
  new DataView(data.buffer, frameStart).setUint32(1, messageBytes);
  frame.set(header, ENVELOPE_BYTES);
  return frame;
}
