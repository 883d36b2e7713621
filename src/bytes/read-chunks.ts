import { unavailableError } from "../errors/unavailable.ts";
import { storeSteps } from "../errors/within-time.ts";

const RETRY_AFTER_MS = 1000;

export interface ReadChunksOptions {
  /** How many bytes the stream has to have. */
  readonly lengthBytes: number;
  /** No chunk is longer. */
  readonly maxBytes: number;
  /** No chunk but the last is shorter. */
  readonly minBytes?: number;
  /** How many bytes the buffer of each chunk has free before the chunk, for the consumer to write to. */
  readonly headroomBytes?: number;
}

/**
 * The bytes of a store's stream in chunks, each in a buffer of its own. Reading into our own buffers matters: a default
 * reader of the platform's streams gives 4 KiB at a time. Leaving the loop cancels the stream.
 *
 * @throws ConnectError UNAVAILABLE if the stream breaks off, ends early or stands still.
 */
export async function* readChunks(
  stream: ReadableStream<Uint8Array>,
  { lengthBytes, maxBytes, minBytes = 1, headroomBytes = 0 }: ReadChunksOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const reader = stream.getReader({ mode: "byob" });
  const steps = storeSteps(() => "reading from the store");
  let readBytes = 0;
  const brokeOff = (cause?: unknown) =>
    unavailableError(`the store gave ${readBytes} of ${lengthBytes} bytes; try again`, RETRY_AFTER_MS, cause);
  try {
    for (;;) {
      // No more than what is left; at least one, to find the end.
      const roomBytes = Math.max(1, Math.min(maxBytes, lengthBytes - readBytes));
      const buffer = new ArrayBuffer(headroomBytes + roomBytes);
      const reading = reader.readAtLeast(
        Math.min(minBytes, roomBytes),
        new Uint8Array(buffer, headroomBytes, roomBytes),
      );
      const { done, value } = await steps.within(
        reading.catch((error: unknown) => {
          throw brokeOff(error);
        }),
      );
      // At the end the rest comes first, then `done` with no bytes.
      if (value !== undefined && value.length > 0) {
        readBytes += value.length;
        yield value;
      }
      if (done) break;
    }
    if (readBytes !== lengthBytes) throw brokeOff();
  } finally {
    steps.end();
    // After the end, or an error, there is nothing left to cancel.
    await reader.cancel().catch(() => undefined);
  }
}
