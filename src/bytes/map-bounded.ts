/** `Promise.all` of `map` over `items`, with at most `maxAtOnce` running. The first failure is thrown and starts no more. */
export async function mapBounded<T, R>(
  items: readonly T[],
  maxAtOnce: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const remaining = items.entries();
  const work = async (): Promise<void> => {
    for (const [position, item] of remaining) results[position] = await map(item);
  };
  await Promise.all(Array.from({ length: Math.min(maxAtOnce, items.length) }, work));
  return results;
}
