import { storeSteps, withinTime } from "../errors/within-time.ts";
import type { ByteSource } from "./byte-source.ts";

/** The source ended before as many bytes as were announced had come. */
export class SourceEndedError extends Error {
  override readonly name = "SourceEndedError";
}

const STEP = () => "storing a piece of a blob";

/** Bytes on their way into something that takes them as a stream. */
export interface FixedLengthTransfer<T> {
  /** When all bytes have been handed over, which is before they are stored. Rejects as soon as either side has failed. */
  readonly sent: Promise<void>;
  /** What the consumer made of them. Rejects as `sent` does, too. */
  readonly stored: Promise<T>;
}

/**
 * Moves the next `lengthBytes` of `source` into `consume` without holding them: R2 takes only streams whose length is
 * known beforehand. If the source throws, or ends too early (SourceEndedError), the stream is aborted, so that the
 * consumer stores nothing. The source may be used again once `sent` is settled. A consumer that stands still is one that has
 * failed with UNAVAILABLE.
 *
 * @param onBytes sees each piece as it passes.
 */
export function streamFixedLength<T>(
  source: ByteSource,
  lengthBytes: number,
  consume: (stream: ReadableStream<Uint8Array>) => Promise<T>,
  onBytes?: (bytes: Uint8Array) => void,
): FixedLengthTransfer<T> {
  const { readable, writable } = new FixedLengthStream(lengthBytes);
  const writer = writable.getWriter();
  const consumed = consume(readable);
  // A step fails only because the consumer has failed, and it is the consumer that knows why.
  const steps = storeSteps(STEP);
  const step = (written: Promise<void>) => steps.within<unknown>(written.catch(() => consumed));

  const send = async (): Promise<void> => {
    for (let remaining = lengthBytes; remaining > 0;) {
      const bytes = await source.take(remaining);
      if (bytes === undefined) throw new SourceEndedError(`${remaining} of ${lengthBytes} bytes did not come`);
      onBytes?.(bytes);
      remaining -= bytes.length;
      await step(writer.write(bytes));
    }
    await step(writer.close());
  };
  const sending = send()
    .finally(() => {
      steps.end();
    })
    .catch((error: unknown) => {
      // Not waited for: it makes the consumer fail, and this error is the one to be known, not that one.
      writer.abort(error).catch(() => undefined);
      throw error;
    });
  const sent = Promise.race([sending, consumed.then(() => sending)]);
  const stored = sent.then(() => withinTime(consumed, STEP));
  // The caller may look at one of the two only.
  for (const promise of [sent, stored, consumed]) promise.catch(() => undefined);
  return { sent, stored };
}
