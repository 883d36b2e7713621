/**
 * How much is still read of a request that has been answered, and for how long. A response that ends before its request
 * breaks the connection, and with HTTP/1.1 the client may find that before it finds the response.
 */
const MAX_DRAINED_BYTES = 64 << 20;
const MAX_DRAIN_MS = 5000;

/** Reads what is still to come of a request, and drops it, within limits. */
export async function drain(chunks: AsyncIterator<Uint8Array, void, undefined>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, MAX_DRAIN_MS, undefined);
  });
  try {
    for (let drainedBytes = 0; drainedBytes <= MAX_DRAINED_BYTES;) {
      const next = await Promise.race([chunks.next(), timeout]);
      if (next === undefined || next.done === true) return;
      drainedBytes += next.value.length;
    }
  } catch {
    // The connection is gone, and with it whoever would have got the answer.
  } finally {
    clearTimeout(timer);
  }
}
