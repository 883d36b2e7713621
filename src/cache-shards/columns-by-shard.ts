import type { DigestColumnsRequest, DigestsJson } from "../../durable-objects/cache-shard/rpc.ts";
import { chunk } from "../batching/chunk.ts";
import { digestAt, hashBytesOf, type DigestColumns } from "../digest/digest-columns.ts";
import { shardOfHead } from "./shard-map.ts";

/** What one statement of a shard is asked for. */
export interface ShardColumns {
  /** Where each of the request's digests is in the columns that were asked for. */
  readonly positions: readonly number[];
  readonly request: DigestColumnsRequest;
}

/**
 * Those digests for which `chosen` has a 1, by the shard that has them where there are `shards`, each as many batches as it
 * takes.
 */
export function columnsByShard(
  digests: DigestColumns,
  chosen: Uint8Array,
  shards: number,
  maxBatchDigests: number,
): Map<number, ShardColumns[]> {
  const hashBytes = hashBytesOf(digests);
  const heads = new DataView(digests.hashes.buffer, digests.hashes.byteOffset);
  const positions = new Map<number, number[]>();
  for (let position = 0; position < digests.count; position++) {
    if (chosen[position] !== 1) continue;
    const index = shardOfHead(heads.getUint32(position * hashBytes), shards);
    const members = positions.get(index);
    if (members === undefined) positions.set(index, [position]);
    else members.push(position);
  }
  return new Map(
    [...positions].map(([index, members]) => [
      index,
      chunk(members, maxBatchDigests).map((batch) => ({ positions: batch, request: toRequest(digests, batch) })),
    ]),
  );
}

/** The same digests as shards of the version before are asked for them. */
export function columnsToJson(digests: DigestColumns, { positions }: ShardColumns): DigestsJson {
  return JSON.stringify(
    positions.map((position) => {
      const { digestFunction, hash, sizeBytes } = digestAt(digests, position);
      return [digestFunction.value, hash, sizeBytes];
    }),
  );
}

function toRequest(digests: DigestColumns, positions: readonly number[]): DigestColumnsRequest {
  const hashBytes = hashBytesOf(digests);
  // Of its own size: all of the memory behind an array is copied to the shard.
  const hashes = new Uint8Array(positions.length * hashBytes);
  let filled = 0;
  for (const position of positions) {
    // For so few bytes a loop is faster than `set`.
    const start = position * hashBytes;
    for (let i = start; i < start + hashBytes; i++) hashes[filled++] = digests.hashes[i] ?? 0;
  }
  return {
    digestFunction: digests.digestFunction.value,
    hashBytes,
    hashes,
    sizesJson: JSON.stringify(positions.map((position) => digests.sizes[position])),
  };
}
