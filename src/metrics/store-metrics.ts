import type { ShardStanding } from "../../durable-objects/cache-shard/rpc.ts";
import type { StoreConfig } from "../config/schema.ts";
import type { Metric, Sample } from "./exposition.ts";

/** What the shards of a store say of themselves. */
export interface StoreMetrics {
  readonly store: string;
  readonly config: StoreConfig;
  readonly shards: readonly ShardStanding[];
}

/** What the stores tell Prometheus: sums over their shards. */
export function storeMetrics(stores: readonly StoreMetrics[]): Metric[] {
  type Labels = Readonly<Record<string, string>>;
  const sum = (shards: readonly ShardStanding[], value: (shard: ShardStanding) => number) =>
    shards.reduce((total, shard) => total + value(shard), 0);
  const metric = (
    type: "counter" | "gauge",
    name: string,
    help: string,
    values: readonly (readonly [Labels, (shard: ShardStanding) => number])[],
  ): Metric => ({
    name: `remex_store_${name}${type === "counter" ? "_total" : ""}`,
    help,
    type,
    samples: stores.flatMap(({ shards, store }) =>
      values.map(([labels, value]): Sample => ({ labels: { store, ...labels }, value: sum(shards, value) })),
    ),
  });
  return [
    metric("gauge", "bytes", "What a store holds, by where it is.", [
      [{ kind: "inline" }, ({ amounts }) => amounts.inlineBytes],
      [{ kind: "object" }, ({ amounts }) => amounts.objectBytes],
      [{ kind: "action_result" }, ({ amounts }) => amounts.actionResultBytes],
    ]),
    metric("gauge", "entries", "How many blobs and action results a store holds, by where they are.", [
      [{ kind: "inline" }, ({ amounts }) => amounts.inlineBlobs],
      [{ kind: "object" }, ({ amounts }) => amounts.objectBlobs],
      [{ kind: "action_result" }, ({ amounts }) => amounts.actionResults],
    ]),
    {
      name: "remex_store_max_bytes",
      help: "The store's max_bytes.",
      type: "gauge",
      samples: stores.map(({ config, store }) => ({ labels: { store }, value: config.max_bytes })),
    },
    metric("gauge", "deletions", "R2 objects that wait to be deleted.", [[{}, ({ deletions }) => deletions]]),
    metric("counter", "evicted_bytes", "Bytes that were evicted.", [[{}, ({ counts }) => counts.evictedBytes]]),
    metric("counter", "evicted_entries", "Blobs and action results that were evicted.", [
      [{ kind: "blob" }, ({ counts }) => counts.evictedBlobs],
      [{ kind: "action_result" }, ({ counts }) => counts.evictedActionResults],
    ]),
    metric("counter", "spilled_bytes", "Bytes that were moved from index rows to R2.", [
      [{}, ({ counts }) => counts.spilledBytes],
    ]),
    metric("counter", "spilled_blobs", "Blobs that were moved from index rows to R2.", [
      [{}, ({ counts }) => counts.spilledBlobs],
    ]),
    metric("counter", "abandoned_uploads", "Uploads that nobody went on with, and that were removed.", [
      [{}, ({ counts }) => counts.abandonedUploads],
    ]),
    metric("counter", "deleted_objects", "R2 objects that were deleted.", [
      [{}, ({ counts }) => counts.deletedObjects],
    ]),
  ];
}
