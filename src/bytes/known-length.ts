const known = new WeakSet<ReadableStream<Uint8Array>>();

/**
 * A FixedLengthStream whose readable side `withKnownLength` leaves as it is.
 * @param lengthBytes how many bytes will be written to it, to the byte
 */
export function knownLengthStream(lengthBytes: number): FixedLengthStream {
  const stream = new FixedLengthStream(lengthBytes);
  known.add(stream.readable);
  return stream;
}

/**
 * The same bytes as a stream of which the platform knows the length: a response of any other has chunks and no
 * Content-Length. A stream that is such a one already can't be piped into another: workerd doesn't implement it.
 */
export function withKnownLength(stream: ReadableStream<Uint8Array>, lengthBytes: number): ReadableStream<Uint8Array> {
  return known.has(stream) ? stream : stream.pipeThrough(new FixedLengthStream(lengthBytes));
}
