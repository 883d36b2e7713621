import { Code, ConnectError } from "@connectrpc/connect";
import { GrowingBuffer } from "../bytes/growing-buffer.ts";

/** An envelope's flags and length. */
const ENVELOPE_BYTES = 5;

type Chunks = AsyncIterable<Uint8Array>;

/**
 * Lets each message of a stream through when it is whole. Connect takes as much memory as an envelope announces as soon as it
 * sees that, so that a few bytes could take megabytes for as long as their sender likes.
 *
 * @param maxBytes a message that announces more is let through, to be refused
 * @throws ConnectError INVALID_ARGUMENT if the stream ends within a message
 */
export async function* wholeEnvelopes(chunks: Chunks, maxBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  let begun: GrowingBuffer | undefined;
  let missingBytes = ENVELOPE_BYTES;
  for await (const chunk of chunks) {
    let rest = chunk;
    // Most chunks are one or more whole messages.
    while (begun === undefined && rest.length >= ENVELOPE_BYTES) {
      const lengthBytes = envelopeBytes(rest);
      if (lengthBytes > ENVELOPE_BYTES + maxBytes) {
        yield rest.subarray(0, ENVELOPE_BYTES);
        return;
      }
      if (lengthBytes > rest.length) break;
      yield rest.subarray(0, lengthBytes);
      rest = rest.subarray(lengthBytes);
    }
    while (rest.length > 0) {
      // Most have said how long they are by now: no more than that is made ready, which else is garbage soon.
      begun ??= new GrowingBuffer(rest.length < ENVELOPE_BYTES ? ENVELOPE_BYTES + maxBytes : envelopeBytes(rest));
      const taken = rest.subarray(0, missingBytes);
      begun.append(taken);
      rest = rest.subarray(taken.length);
      missingBytes -= taken.length;
      if (missingBytes > 0) break;
      const { bytes } = begun;
      missingBytes = envelopeBytes(bytes) - bytes.length;
      if (missingBytes > 0 && missingBytes <= maxBytes) continue;
      yield bytes;
      if (missingBytes > 0) return;
      begun = undefined;
      missingBytes = ENVELOPE_BYTES;
    }
  }
  if (begun !== undefined) throw new ConnectError("the request ends within a message", Code.InvalidArgument);
}

/**
 * A message that is a body, in one piece.
 * @throws ConnectError RESOURCE_EXHAUSTED if it is larger than `maxBytes`
 */
export async function* wholeBody(chunks: Chunks, maxBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  const whole = new GrowingBuffer(maxBytes);
  for await (const chunk of chunks) {
    if (whole.bytes.length + chunk.length > maxBytes) {
      throw new ConnectError(`the request message is larger than ${maxBytes} bytes`, Code.ResourceExhausted);
    }
    whole.append(chunk);
  }
  yield whole.bytes;
}

/** How long the envelope at the start of `bytes` and its message are. */
function envelopeBytes(bytes: Uint8Array): number {
  return ENVELOPE_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
}
