/**
 * A byte stream's bytes in chunks of at most `maxBytes`, and of at least `minBytes` but for the last. Reading into our own buffers
 * matters: a default reader of the platform's streams gives 4 KiB at a time. Leaving the loop cancels the stream.
 */
export async function* readChunks(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  minBytes = 1,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader({ mode: "byob" });
  try {
    for (;;) {
      const { done, value } = await reader.readAtLeast(minBytes, new Uint8Array(maxBytes));
      // At the end the rest comes first, then `done` with no bytes.
      if (value !== undefined && value.length > 0) yield value;
      if (done) return;
    }
  } finally {
    // After the end, or an error, there is nothing left to cancel.
    await reader.cancel().catch(() => undefined);
  }
}
