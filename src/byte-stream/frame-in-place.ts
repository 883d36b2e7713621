/** An envelope's flags and length. */
const ENVELOPE_BYTES = 5;

/** `ReadResponse.data`: field 10, length-delimited. */
const DATA_TAG = (10 << 3) | 2;

/** A tag, and a length of 7 bits a byte: three are enough for 2 MiB. */
const MAX_MESSAGE_HEADER_BYTES = 1 + 3;

/** How many bytes must be free before the data of a frame that is made in place. */
export const FRAME_HEADROOM_BYTES = ENVELOPE_BYTES + MAX_MESSAGE_HEADER_BYTES;

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
