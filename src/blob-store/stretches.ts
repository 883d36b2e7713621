/** So much of an object is read with one get: four of the parts in which large blobs are stored. */
export const STRETCH_BYTES = 32 << 20;

/** A range of an object, in bytes. */
export interface Stretch {
  readonly offset: number;
  readonly length: number;
}

/** The pieces of a range, each of which is read with one get. */
export function stretchesOf({ offset, length }: Stretch): Stretch[] {
  const count = Math.max(Math.ceil(length / STRETCH_BYTES), 1);
  return Array.from({ length: count }, (_, index) => {
    const done = index * STRETCH_BYTES;
    return { offset: offset + done, length: Math.min(STRETCH_BYTES, length - done) };
  });
}
