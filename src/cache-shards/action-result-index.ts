import type { LookupCounts } from "../../durable-objects/cache-shard/lookup-counters.ts";
import type { Digest } from "../digest/digest.ts";
import { toDigestKey } from "./digest-keys.ts";
import type { ShardCalls } from "./shard-calls.ts";

/** The action results of all instances of a store, serialized. */
export class ActionResultIndex {
  readonly #calls: ShardCalls;
  readonly #touchIntervalMs: number;

  constructor(calls: ShardCalls, touchIntervalMs: number) {
    this.#calls = calls;
    this.#touchIntervalMs = touchIntervalMs;
  }

  /** The serialized ActionResult, or undefined. */
  async get(instance: string, actionDigest: Digest, invocationId?: string): Promise<Uint8Array | undefined> {
    const found = await this.#calls.everywhere(actionDigest.hash, (stub, shard) =>
      stub.getActionResult({
        shard,
        key: { instance, digest: toDigestKey(actionDigest) },
        touchIntervalMs: this.#touchIntervalMs,
        ...(invocationId !== undefined && { invocationId }),
      }),
    );
    // One that was stored since the change began is the later one, and is in the later shard.
    return found.findLast((bytes) => bytes !== null) ?? undefined;
  }

  /** Stores one in place of an earlier one. `priority` is ResultsCachePolicy.priority: what is lower is evicted later. */
  async put(instance: string, actionDigest: Digest, bytes: Uint8Array, priority = 0): Promise<void> {
    await this.#calls.write(actionDigest.hash, (stub, shard) =>
      stub.putActionResult({ shard, key: { instance, digest: toDigestKey(actionDigest) }, bytes, priority }),
    );
  }

  /** Removes the result of an action; where `bytes` are given, only if it still is that one. */
  async remove(instance: string, actionDigest: Digest, bytes?: Uint8Array): Promise<void> {
    await this.#calls.everywhere(actionDigest.hash, (stub, shard) =>
      stub.removeActionResult({ shard, key: { instance, digest: toDigestKey(actionDigest) }, ...(bytes && { bytes }) }),
    );
  }

  /**
   * How many look-ups of an instance's action results found one, and how many didn't, in all shards.
   * @param invocationId of one build alone; only the last builds are remembered
   */
  async lookups(instance: string, invocationId?: string): Promise<LookupCounts> {
    const counts = await this.#calls.all((stub, shard) =>
      stub.actionResultLookups({ shard, instance, ...(invocationId !== undefined && { invocationId }) }),
    );
    return {
      found: counts.reduce((sum, { found }) => sum + found, 0),
      missing: counts.reduce((sum, { missing }) => sum + missing, 0),
    };
  }
}
