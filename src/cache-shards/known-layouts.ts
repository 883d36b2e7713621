import type { Layout } from "../../durable-objects/cache-shard/rpc.ts";

/** What this isolate has learned of stores' layouts, by the store's name. Only ever replaced by later ones. */
const known = new Map<string, Layout>();

/** The layout of a store as far as it is known here, or undefined. The shards say if it is no longer the present one. */
export function knownLayout(store: string): Layout | undefined {
  return known.get(store);
}

export function learnLayout(store: string, layout: Layout): void {
  const before = known.get(store);
  if (before === undefined || before.epoch < layout.epoch) known.set(store, layout);
}
