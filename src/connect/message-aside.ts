import type { ContextValues } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";

type Chunks = AsyncIterable<Uint8Array>;

/** An envelope's flags and length. */
const ENVELOPE_BYTES = 5;

/**
 * For a method of one message each way whose messages are so many small ones that they are better left as bytes. Its service
 * finds what was set aside of the request in the call's values, and leaves there what it answers.
 */
export interface MessageAside {
  /** What of a request's message is to be decoded, when the rest has been put into `values`. It may be no such message. */
  setAside(message: Uint8Array, values: ContextValues): Uint8Array;
  /** The message to send instead of the one that the service has returned; undefined for that one. */
  answer(values: ContextValues): Uint8Array | undefined;
}

/** A body, each chunk of which is a whole message, or with `enveloped` a whole envelope, without what is set aside. */
export async function* withoutAside(
  chunks: Chunks,
  aside: MessageAside,
  values: ContextValues,
  enveloped: boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    if (!enveloped) yield aside.setAside(chunk, values);
    else if (isMessage(chunk)) yield encodeEnvelope(0, aside.setAside(chunk.subarray(ENVELOPE_BYTES), values));
    else yield chunk;
  }
}

/** An answer's body with the service's answer in the place of its message. */
export async function* withAnswer(
  chunks: Chunks,
  aside: MessageAside,
  values: ContextValues,
  enveloped: boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    const message = !enveloped || isMessage(chunk) ? aside.answer(values) : undefined;
    if (message === undefined) yield chunk;
    else yield enveloped ? encodeEnvelope(0, message) : message;
  }
}

/** Whether the envelope holds a message that isn't compressed, and not what ends a stream. */
function isMessage(envelope: Uint8Array): boolean {
  return envelope.length >= ENVELOPE_BYTES && envelope[0] === 0;
}
