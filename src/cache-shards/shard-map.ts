/** The shard, 0 … `count` - 1, that keeps the blob or action result with this hash (hex): its leading 32 bits mod `count`. */
export function shardOf(hash: string, count: number): number {
  return shardOfHead(Number.parseInt(hash.slice(0, 8), 16), count);
}

/** The same of the hash that begins with these 32 bits. */
export function shardOfHead(head: number, count: number): number {
  return head % count;
}

/** The name of the object that is shard `index` of `store`. */
export function shardName(store: string, index: number): string {
  return `${store}/${index}`;
}
