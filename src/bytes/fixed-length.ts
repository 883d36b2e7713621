import type { ByteSource } from "./byte-source.ts";

/** The source ended before as many bytes as were announced had come. */
export class SourceEndedError extends Error {
  override readonly name = "SourceEndedError";
}

/**
 * Moves the next `lengthBytes` of `source` into `consume` without holding them: R2 takes only streams whose length is
 * known beforehand.
 *
 * @param onBytes sees each piece as it passes.
 * @throws what `source` throws, SourceEndedError, or what `consume` throws; in each case the stream is aborted, so that
 * nothing is stored.
 */
export async function streamFixedLength<T>(
  source: ByteSource,
  lengthBytes: number,
  consume: (stream: ReadableStream<Uint8Array>) => Promise<T>,
  onBytes?: (bytes: Uint8Array) => void,
): Promise<T> {
  const { readable, writable } = new FixedLengthStream(lengthBytes);
  const writer = writable.getWriter();
  const consumed = consume(readable);

  const pump = async (): Promise<void> => {
    for (let remaining = lengthBytes; remaining > 0;) {
      const bytes = await source.take(remaining);
      if (bytes === undefined) throw new SourceEndedError(`${remaining} of ${lengthBytes} bytes did not come`);
      onBytes?.(bytes);
      remaining -= bytes.length;
      // Writing fails only because the consumer has failed, and it is the consumer that knows why.
      await writer.write(bytes).catch(() => consumed);
    }
    await writer.close().catch(() => consumed);
  };

  try {
    const [result] = await Promise.all([consumed, pump()]);
    return result;
  } catch (error) {
    await Promise.allSettled([writer.abort(error), consumed]);
    throw error;
  }
}
