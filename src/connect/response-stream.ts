import { waitUntil } from "cloudflare:workers";
import { TimedSteps } from "../errors/timed-steps.ts";
import { unavailableError } from "../errors/unavailable.ts";

/** A client that takes nothing for so long is taken for lost: what it doesn't take is held for it. */
const MAX_UNTAKEN_MS = 5 * 60_000;

const RETRY_AFTER_MS = 1000;

/**
 * A response's body, made of chunks as they come; each is asked for when the one before has been taken.
 *
 * It is a stream of the platform's own, with its work registered. A client may leave while the next chunk is waited for: then
 * workerd keeps a stream of JavaScript's for ever with all that hangs on it, and work that isn't registered stops where it
 * is, before what it holds is given back.
 *
 * @param onGone called if the client is gone. That shows when something is written, and not in the request's own signal; who
 * makes the chunks may be waiting for something that never comes
 */
export function responseStream(
  chunks: AsyncIterable<Uint8Array>,
  onGone: () => void,
  maxUntakenMs = MAX_UNTAKEN_MS,
): ReadableStream<Uint8Array> {
  const { readable, writable } = new IdentityTransformStream();
  waitUntil(pump(chunks[Symbol.asyncIterator](), writable.getWriter(), onGone, maxUntakenMs));
  return readable;
}

async function pump(
  chunks: AsyncIterator<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  onGone: () => void,
  maxUntakenMs: number,
): Promise<void> {
  const writes = new TimedSteps(maxUntakenMs, () =>
    unavailableError(`nothing of the response was taken for ${maxUntakenMs / 1000} s`, RETRY_AFTER_MS),
  );
  // Whatever it is, a write says it, too.
  writer.closed.catch(() => undefined);
  /** There is nobody to tell: the response has begun, and breaks off. */
  const breakOff = (reason: unknown) => writer.abort(reason).catch(() => undefined);
  for (;;) {
    let next: IteratorResult<Uint8Array, unknown>;
    try {
      next = await chunks.next();
    } catch (error) {
      await breakOff(error);
      break;
    }
    try {
      if (next.done === true) {
        await writer.close();
        break;
      }
      await writes.within(writer.write(next.value));
    } catch (error) {
      // Only the client can make it fail: by leaving, or by taking nothing.
      await breakOff(error);
      onGone();
      await chunks.return?.();
      break;
    }
  }
  writes.end();
}
