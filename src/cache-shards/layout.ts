import type { Layout } from "../../durable-objects/cache-shard/rpc.ts";
import { shardOf } from "./shard-map.ts";

/** The layout of a store that was just made. */
export function newLayout(count: number): Layout {
  return { epoch: 1, phase: "stable", count, from: count };
}

/** The layout with which a change to `count` shards begins. */
export function beginChange(layout: Layout, count: number): Layout {
  return { epoch: layout.epoch + 1, phase: "preparing", count, from: layout.count };
}

/** What comes after a layout of a change that is under way; `stable` is followed by nothing. */
export function nextPhase(layout: Layout): Layout {
  const { count, epoch, from, phase } = layout;
  switch (phase) {
    case "preparing":
      return { epoch: epoch + 1, phase: "moving", count, from };
    case "moving":
      return { epoch: epoch + 1, phase: "stable", count, from: count };
    case "stable":
      return layout;
  }
}

/**
 * The shards that may have what is under a hash, in the order in which they are to be asked: what moves is in the one that
 * comes after before it is taken from the one before.
 */
export function shardsToRead({ count, from }: Layout, hash: string): readonly [number, ...number[]] {
  const before = shardOf(hash, from);
  const after = shardOf(hash, count);
  return before === after ? [before] : [before, after];
}

/** The shard in which something new goes that is under a hash. */
export function shardToWrite({ count, from, phase }: Layout, hash: string): number {
  return shardOf(hash, phase === "preparing" ? from : count);
}

/** Every shard that has something, or may. */
export function allShards({ count, from }: Layout): number[] {
  return Array.from({ length: Math.max(count, from) }, (_, index) => index);
}
