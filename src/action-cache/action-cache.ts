import { toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  ActionResultSchema,
  type ActionResult,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { discard } from "../blob-store/discard.ts";
import { openBlobStore } from "../blob-store/open-blob-store.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import { openCacheShards } from "../cache-shards/cache-shards.ts";
import type { ConfiguredInstance } from "../config/config.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import type { Env } from "../env.ts";
import { parseMessage } from "../errors/parse-message.ts";
import { log } from "../log.ts";
import { isComplete } from "./completeness.ts";
import { inline, inliningsOf, NOTHING_INLINE, type WantedInline } from "./inline-outputs.ts";
import { validateActionResult } from "./validate-action-result.ts";

/** SQLite in an object takes rows of up to 2 MB. */
const MAX_ACTION_RESULT_BYTES = 1_900_000;

/** How it is said of a result that it can't be used. Any other error says nothing about the result. */
const FAULTS_OF_RESULT: ReadonlySet<Code> = new Set([Code.InvalidArgument, Code.ResourceExhausted]);

/** The results of actions, of one instance. */
export interface ActionCache {
  /**
   * The result of an action with the contents that are wanted in it, or undefined if there is none or one of the blobs
   * that it names is no longer stored; then it is removed. The size in the digest is 0 where the caller doesn't know it.
   * @param invocationId RequestMetadata.tool_invocation_id of the build that asks, which hits are counted for
   */
  get(actionDigest: Digest, wanted?: WantedInline, invocationId?: string): Promise<ActionResult | undefined>;

  /**
   * Stores the result of an action in place of an earlier one.
   * @param priority ResultsCachePolicy.priority: what is lower is evicted later
   * @throws ConnectError INVALID_ARGUMENT if it is malformed, RESOURCE_EXHAUSTED if it is too large.
   */
  put(actionDigest: Digest, result: ActionResult, priority?: number): Promise<void>;

  /** Removes the result of an action, if there is one. */
  remove(actionDigest: Digest): Promise<void>;
}

/** The action cache of an instance. Its results lie in the index of the instance's store, bound to the instance. */
export function openActionCache(
  env: Env,
  instance: ConfiguredInstance,
  blobs: BlobStore = openBlobStore(env, instance),
): ActionCache {
  return new CompleteActionCache(instance.name, openCacheShards(env, instance.storeName, instance.store), blobs);
}

class CompleteActionCache implements ActionCache {
  readonly #instance: string;
  readonly #shards: CacheShards;
  readonly #blobs: BlobStore;

  constructor(instance: string, shards: CacheShards, blobs: BlobStore) {
    this.#instance = instance;
    this.#shards = shards;
    this.#blobs = blobs;
  }

  async get(actionDigest: Digest, wanted = NOTHING_INLINE, invocationId?: string): Promise<ActionResult | undefined> {
    const bytes = await this.#shards.actionResults.get(this.#instance, actionDigest, invocationId);
    if (bytes === undefined) return undefined;
    try {
      const result = parseMessage(ActionResultSchema, bytes, "what is stored");
      const references = validateActionResult(result, actionDigest.digestFunction);
      const inlinings = inliningsOf(result, wanted, actionDigest.digestFunction);
      // What is read needs no other look-up to know that it is there.
      const read = new Set(inlinings.map(({ digest }) => digestKey(digest)));
      const unread = references.blobs.filter((digest) => !read.has(digestKey(digest)));
      const stored = await Promise.all([
        inline(inlinings, this.#blobs),
        isComplete({ ...references, blobs: unread }, this.#blobs),
      ]);
      if (stored.every(Boolean)) return result;
    } catch (error) {
      if (!(error instanceof ConnectError && FAULTS_OF_RESULT.has(error.code))) throw error;
      // Whoever may write action results can store such a one.
      log.warn({ instance: this.#instance, action: digestKey(actionDigest), error }, "a stored action result is bad");
    }
    // Only this one: a better one may have come meanwhile.
    await discard("an action result that can't be used", () =>
      this.#shards.actionResults.remove(this.#instance, actionDigest, bytes),
    );
    return undefined;
  }

  async put(actionDigest: Digest, result: ActionResult, priority?: number): Promise<void> {
    validateActionResult(result, actionDigest.digestFunction);
    const bytes = toBinary(ActionResultSchema, result);
    if (bytes.length > MAX_ACTION_RESULT_BYTES) {
      throw new ConnectError(
        `the result of action ${digestKey(actionDigest)} has ${bytes.length} bytes; at most ` +
          `${MAX_ACTION_RESULT_BYTES} are cached: leave out inlined contents, or use output directories`,
        Code.ResourceExhausted,
      );
    }
    await this.#shards.actionResults.put(this.#instance, actionDigest, bytes, priority);
  }

  async remove(actionDigest: Digest): Promise<void> {
    await this.#shards.actionResults.remove(this.#instance, actionDigest);
  }
}
