import type {
  BlobEntry,
  FindMissingRequest,
  InsertObjectOutcome,
  Layout,
} from "../../durable-objects/cache-shard/rpc.ts";
import { chunk, chunkBySize } from "../batching/chunk.ts";
import { concatenate } from "../bytes/concatenate.ts";
import type { DigestColumns } from "../digest/digest-columns.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import type { Digest } from "../digest/digest.ts";
import { toError } from "../errors/to-error.ts";
import { byShard } from "./by-shard.ts";
import { columnsByShard, columnsToJson } from "./columns-by-shard.ts";
import { toDigestKey, toDigestsJson } from "./digest-keys.ts";
import { shardsToRead, shardToWrite } from "./layout.ts";
import { LayoutChangedError, type ShardCalls } from "./shard-calls.ts";
import { type ClientUpload, toUploadKey } from "./upload-sessions.ts";

/** SQLite in an object takes parameters of up to 2 MB; 10,000 digests are up to 1.5 MB of JSON. */
const MAX_BATCH_DIGESTS = 10_000;
const MAX_BATCH_BYTES = 1 << 20;

/** Which blobs a store has, and where they are. */
export class BlobIndex {
  readonly #calls: ShardCalls;
  readonly #touchIntervalMs: number;

  constructor(calls: ShardCalls, touchIntervalMs: number) {
    this.#calls = calls;
    this.#touchIntervalMs = touchIntervalMs;
  }

  /** Those of `digests` that are not stored, in order. */
  async findMissing(digests: readonly Digest[]): Promise<Digest[]> {
    return this.#calls.byLayout(async (layout) => {
      let missing = await this.#findMissingAt(layout, digests, (digest) => shardsToRead(layout, digest.hash)[0]);
      if (layout.phase !== "stable") {
        missing = await this.#findMissingAt(layout, missing, (digest) => shardsToRead(layout, digest.hash).at(-1) ?? 0);
      }
      return missing;
    });
  }

  async #findMissingAt(
    layout: Layout,
    digests: readonly Digest[],
    shardFor: (digest: Digest) => number,
  ): Promise<Digest[]> {
    const missing = new Array<boolean>(digests.length).fill(false);
    await Promise.all(
      byShard(digests, shardFor).map(async ([index, members]) => {
        const chunks = chunk(members, MAX_BATCH_DIGESTS);
        const batches = chunks.map((members) => toDigestsJson(members.map(({ item }) => item)));
        const positions = await this.#calls.call(layout, index, (stub, shard) =>
          stub.findMissing({ shard, batches, touchIntervalMs: this.#touchIntervalMs }),
        );
        chunks.forEach((members, batch) => {
          for (const position of positions[batch] ?? []) {
            const member = members[position];
            if (member !== undefined) missing[member.position] = true;
          }
        });
      }),
    );
    return digests.filter((_, position) => missing[position]);
  }

  /** The same of so many that no object is made of any: a 1 for each that is not stored, in order, and a 0 for the others. */
  async findMissingColumns(digests: DigestColumns): Promise<Uint8Array> {
    return this.#calls.byLayout(async (layout) => {
      const missing = new Uint8Array(digests.count).fill(1);
      await this.#findMissingColumnsAt(layout, digests, layout.from, missing);
      if (layout.phase !== "stable") await this.#findMissingColumnsAt(layout, digests, layout.count, missing);
      return missing;
    });
  }

  /** Looks for those that are `missing` by now in the shards that they have where there are so many. */
  async #findMissingColumnsAt(
    layout: Layout,
    digests: DigestColumns,
    shards: number,
    missing: Uint8Array,
  ): Promise<void> {
    await Promise.all(
      [...columnsByShard(digests, missing, shards, MAX_BATCH_DIGESTS)].map(async ([index, batches]) => {
        const touchIntervalMs = this.#touchIntervalMs;
        const ask = (request: Pick<FindMissingRequest, "batches" | "columns">) =>
          this.#calls.call(layout, index, (stub, shard) => stub.findMissing({ shard, ...request, touchIntervalMs }));
        let answers = await ask({ batches: [], columns: batches.map(({ request }) => request) });
        // A shard of a version that knows of no columns has passed over them.
        if (answers.length < batches.length) {
          answers = await ask({ batches: batches.map((batch) => columnsToJson(digests, batch)) });
        }
        batches.forEach(({ positions }, batch) => {
          for (const position of positions) missing[position] = 0;
          for (const member of answers[batch] ?? []) {
            const position = positions[member];
            if (position !== undefined) missing[position] = 1;
          }
        });
      }),
    );
  }

  /** Where each blob is, or undefined where it is not stored, in order. */
  async lookUp(digests: readonly Digest[]): Promise<(BlobEntry | undefined)[]> {
    return this.#calls.byLayout(async (layout) => {
      const entries = await this.#lookUpAt(layout, digests, (digest) => shardsToRead(layout, digest.hash)[0]);
      if (layout.phase === "stable") return entries;
      const absent = digests.filter((_, position) => entries[position] === undefined);
      const found = await this.#lookUpAt(layout, absent, (digest) => shardsToRead(layout, digest.hash).at(-1) ?? 0);
      const rest = found.values();
      return entries.map((entry) => entry ?? rest.next().value);
    });
  }

  async #lookUpAt(
    layout: Layout,
    digests: readonly Digest[],
    shardFor: (digest: Digest) => number,
  ): Promise<(BlobEntry | undefined)[]> {
    const entries = new Array<BlobEntry | undefined>(digests.length).fill(undefined);
    await Promise.all(
      inBatches(byShard(digests, shardFor)).map(async ([index, members]) => {
        const found = await this.#calls.call(layout, index, (stub, shard) =>
          stub.lookUp({
            shard,
            digests: toDigestsJson(members.map(({ item }) => item)),
            touchIntervalMs: this.#touchIntervalMs,
          }),
        );
        members.forEach(({ position }, i) => (entries[position] = found[i]));
      }),
    );
    return entries;
  }

  /** The size of the stored blob with a hash, or undefined. */
  async findByHash(digestFunction: DigestFunction, hash: string): Promise<number | undefined> {
    const touchIntervalMs = this.#touchIntervalMs;
    return this.#calls.read(hash, (stub, shard) =>
      stub.findByHash({ shard, digestFunction: digestFunction.value, hash, touchIntervalMs }),
    );
  }

  /**
   * Stores blobs, which the caller has verified, with their bytes. A verdict for each, in order: undefined, or why its shard
   * could not be reached.
   */
  async insertInline(blobs: readonly { digest: Digest; bytes: Uint8Array }[]): Promise<(Error | undefined)[]> {
    return this.#calls.byLayout((layout) => this.#insertInlineAt(layout, blobs));
  }

  async #insertInlineAt(
    layout: Layout,
    blobs: readonly { digest: Digest; bytes: Uint8Array }[],
  ): Promise<(Error | undefined)[]> {
    const verdicts = new Array<Error | undefined>(blobs.length).fill(undefined);
    const touchIntervalMs = this.#touchIntervalMs;
    await Promise.all(
      byShard(blobs, ({ digest }) => shardToWrite(layout, digest.hash)).map(async ([index, members]) => {
        const bySize = chunkBySize(members, ({ item }) => item.bytes.length, MAX_BATCH_BYTES);
        const batches = bySize
          .flatMap((members) => chunk(members, MAX_BATCH_DIGESTS))
          .map((members) => ({
            digests: toDigestsJson(members.map(({ item }) => item.digest)),
            bytes: concatenate(members.map(({ item }) => item.bytes)),
          }));
        try {
          await this.#calls.call(layout, index, (stub, shard) =>
            stub.insertInline({ shard, batches, touchIntervalMs }),
          );
        } catch (error) {
          if (error instanceof LayoutChangedError) throw error;
          for (const { position } of members) verdicts[position] = toError(error);
        }
      }),
    );
    return verdicts;
  }

  /**
   * Says that a verified object holds a blob. An object that is not used then, the shard removes.
   * @param upload the one by which the object came, if it was begun by `beginUpload`; it ends
   */
  async insertObject(digest: Digest, uploadId: string, upload?: ClientUpload): Promise<InsertObjectOutcome> {
    return this.#calls.write(digest.hash, (stub, shard) =>
      stub.insertObject({
        shard,
        digest: toDigestKey(digest),
        uploadId,
        touchIntervalMs: this.#touchIntervalMs,
        upload: upload && toUploadKey(upload),
      }),
    );
  }

  /** Forgets a blob whose object turned out to be gone, unless another upload has stored it since. */
  async forgetObject(digest: Digest, uploadId: string): Promise<void> {
    await this.#calls.everywhere(digest.hash, (stub, shard) =>
      stub.forgetObject({ shard, digest: toDigestKey(digest), uploadId }),
    );
  }
}

/** The items of each shard, at most as many at once as a statement takes. */
function inBatches<T>(shards: readonly (readonly [number, readonly T[]])[]): [number, T[]][] {
  return shards.flatMap(([index, members]) =>
    chunk(members, MAX_BATCH_DIGESTS).map((batch): [number, T[]] => [index, batch]),
  );
}
