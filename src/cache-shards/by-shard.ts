/** The items of each shard that has any, with their positions. */
export function byShard<T>(
  items: readonly T[],
  shardFor: (item: T) => number,
): [number, { item: T; position: number }[]][] {
  const shards = new Map<number, { item: T; position: number }[]>();
  items.forEach((item, position) => {
    const index = shardFor(item);
    const members = shards.get(index);
    if (members === undefined) shards.set(index, [{ item, position }]);
    else members.push({ item, position });
  });
  return [...shards];
}
