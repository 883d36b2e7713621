import { knownLengthStream } from "../bytes/known-length.ts";
import type { Stretch } from "./stretches.ts";

/**
 * Stretches of an object as one stream. Each is asked for when the one before has been read: no stream of R2 is open for as
 * long as a slow client takes for a large blob, and the local R2, which takes into memory all that is asked for of an object
 * that came in parts, has no more there than a stretch.
 * @param first the stream of the first one, which is there
 * @param open gets each of the others. What it throws is what the reader of the stream gets.
 */
export function joinStretches(
  first: ReadableStream<Uint8Array>,
  stretches: readonly Stretch[],
  open: (stretch: Stretch) => Promise<ReadableStream<Uint8Array>>,
): ReadableStream<Uint8Array> {
  const { readable, writable } = knownLengthStream(stretches.reduce((sum, { length }) => sum + length, 0));
  const pump = async (): Promise<void> => {
    await first.pipeTo(writable, { preventClose: true });
    for (const stretch of stretches.slice(1)) await (await open(stretch)).pipeTo(writable, { preventClose: true });
    await writable.close();
  };
  // A reader that wants no more makes the pipe fail, too: then nobody is left to be told.
  pump().catch((error: unknown) => writable.abort(error).catch(() => undefined));
  return readable;
}
