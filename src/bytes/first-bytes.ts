/** The first `limitBytes` bytes of `chunks`; what follows is not waited for. */
export async function* firstBytes(
  chunks: AsyncIterable<Uint8Array>,
  limitBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let remainingBytes = limitBytes;
  if (remainingBytes === 0) return;
  for await (const chunk of chunks) {
    yield chunk.subarray(0, remainingBytes);
    remainingBytes -= Math.min(chunk.length, remainingBytes);
    if (remainingBytes === 0) return;
  }
}
