/** Cuts `items` into runs of at most `maxItems`. */
export function chunk<T>(items: readonly T[], maxItems: number): T[][] {
  return chunkBySize(items, () => 1, maxItems);
}

/** Cuts `items` into runs whose sizes sum to at most `maxSize`; one that is larger makes a run of its own. */
export function chunkBySize<T>(items: readonly T[], sizeOf: (item: T) => number, maxSize: number): T[][] {
  const chunks: T[][] = [];
  let current: T[] = [];
  let size = 0;
  for (const item of items) {
    const itemSize = sizeOf(item);
    if (current.length > 0 && size + itemSize > maxSize) {
      chunks.push(current);
      current = [];
      size = 0;
    }
    current.push(item);
    size += itemSize;
  }
  if (current.length > 0) chunks.push(current);
  return chunks;
}
