import { create, toBinary } from "@bufbuild/protobuf";
import {
  SplitBlobResponseSchema,
  type ChunkingFunction_Value,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import { openCacheShards } from "../cache-shards/cache-shards.ts";
import type { ConfiguredInstance } from "../config/config.ts";
import { digestFromWire, digestToWire, type Digest } from "../digest/digest.ts";
import type { Env } from "../env.ts";
import { parseMessage } from "../errors/parse-message.ts";

/** Where lists are among the action results of a store: no instance can have a name with a colon. */
const LISTS = ":chunks";

/** SQLite in an object takes rows of up to 2 MB. */
const MAX_LIST_BYTES = 1_900_000;

/** The chunks that a blob is made of, in order. */
export interface ChunkList {
  readonly chunks: readonly Digest[];
  /** How they were cut. */
  readonly chunkingFunction: ChunkingFunction_Value;
}

/**
 * Remembers which chunks the blobs of a store are made of. A list is true for ever, since its digests are, but its chunks
 * may be gone: who takes one out has to look.
 */
export class ChunkLists {
  readonly #shards: CacheShards;

  constructor(shards: CacheShards) {
    this.#shards = shards;
  }

  async get(blob: Digest): Promise<ChunkList | undefined> {
    const bytes = await this.#shards.actionResults.get(LISTS, blob);
    if (bytes === undefined) return undefined;
    const { chunkDigests, chunkingFunction } = parseMessage(SplitBlobResponseSchema, bytes, "a stored list of chunks");
    return {
      chunks: chunkDigests.map((chunk) => digestFromWire(blob.digestFunction, chunk, "chunk_digests")),
      chunkingFunction,
    };
  }

  /** Remembers a list that is known to be the blob's. One that is too long for a row is not remembered. */
  async put(blob: Digest, { chunks, chunkingFunction }: ChunkList): Promise<void> {
    const list = create(SplitBlobResponseSchema, { chunkDigests: chunks.map(digestToWire), chunkingFunction });
    const bytes = toBinary(SplitBlobResponseSchema, list);
    if (bytes.length <= MAX_LIST_BYTES) await this.#shards.actionResults.put(LISTS, blob, bytes);
  }
}

/** The lists of an instance's store: the same for all instances that share it. */
export function openChunkLists(env: Env, { storeName, store }: ConfiguredInstance): ChunkLists {
  return new ChunkLists(openCacheShards(env, storeName, store));
}
