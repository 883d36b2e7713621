import type { DigestKey, DigestsJson } from "../../durable-objects/cache-shard/rpc.ts";
import type { Digest } from "../digest/digest.ts";

/** A digest as a shard takes one. */
export function toDigestKey({ digestFunction, hash, sizeBytes }: Digest): DigestKey {
  return { digestFunction: digestFunction.value, hash, sizeBytes };
}

/** Digests as a shard takes many. */
export function toDigestsJson(digests: readonly Digest[]): DigestsJson {
  return JSON.stringify(digests.map(({ digestFunction, hash, sizeBytes }) => [digestFunction.value, hash, sizeBytes]));
}
