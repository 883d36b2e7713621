/** `Promise.all` of `map` over `items`, with at most `maxAtOnce` running. The first failure is thrown and starts no more. */
export async function mapBounded<T, R>(
  items: readonly T[],
  maxAtOnce: number,
  map: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  const remaining = items.entries();
  let failed = false;
  const work = async (): Promise<void> => {
    for (const [position, item] of remaining) {
      if (failed) return;
      try {
        results[position] = await map(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(maxAtOnce, items.length) }, work));
  return results;
}
