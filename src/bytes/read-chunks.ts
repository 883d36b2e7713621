export interface ReadChunksOptions {
  /** No chunk is longer. */
  readonly maxBytes: number;
  /** No chunk but the last is shorter. */
  readonly minBytes?: number;
  /** How many bytes the buffer of each chunk has free before the chunk, for the consumer to write to. */
  readonly headroomBytes?: number;
}

/**
 * A byte stream's bytes in chunks, each in a buffer of its own. Reading into our own buffers matters: a default reader of
 * the platform's streams gives 4 KiB at a time. Leaving the loop cancels the stream.
 */
export async function* readChunks(
  stream: ReadableStream<Uint8Array>,
  { maxBytes, minBytes = 1, headroomBytes = 0 }: ReadChunksOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const reader = stream.getReader({ mode: "byob" });
  try {
    for (;;) {
      const buffer = new ArrayBuffer(headroomBytes + maxBytes);
      const { done, value } = await reader.readAtLeast(minBytes, new Uint8Array(buffer, headroomBytes, maxBytes));
      // At the end the rest comes first, then `done` with no bytes.
      if (value !== undefined && value.length > 0) yield value;
      if (done) return;
    }
  } finally {
    // After the end, or an error, there is nothing left to cancel.
    await reader.cancel().catch(() => undefined);
  }
}
