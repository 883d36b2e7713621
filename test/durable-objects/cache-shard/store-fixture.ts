import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Digest } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { collect, connectClients, digestOf, streamOf, writeRequests } from "../../src/clients.ts";
import type { FaultyWorker } from "../../faults/crash-points.ts";

export const MIB = 1 << 20;
export const instanceName = "main";

/** A configuration whose only store is as `store` says, with one shard if it is not said else. */
export function configOf(store: object = {}, more: object = {}): string {
  return JSON.stringify({
    stores: { MAIN_STORE: { shards: 1, ...store } },
    schedulers: { MAIN_SCHEDULER: {} },
    services: { execution: [{ instance_name: instanceName, scheduler: "MAIN_SCHEDULER", cas_store: "MAIN_STORE" }] },
    ...more,
  });
}

/**
 * Waits for what a shard does by itself. The platform tries an alarm again after some seconds whose object was killed.
 */
export function eventually<T>(look: () => Promise<T>) {
  return expect.poll(look, { timeout: 20_000 });
}

/** A blob in the index. */
export interface IndexRow {
  /** `{hash}-{size}`, as in keys. */
  readonly blob: string;
  readonly uploadId: string | undefined;
}

/** What a test does with a store, and what it sees of its insides. Every client's connection is new. */
export class StoreFixture {
  readonly worker: FaultyWorker;
  readonly #shards: number;

  constructor(worker: FaultyWorker, shards = 1) {
    this.worker = worker;
    this.#shards = shards;
  }

  async put(...blobs: Uint8Array[]): Promise<void> {
    const requests = blobs.map((data) => ({ data, digest: digestOf(data) }));
    const { responses } = await this.#clients.cas.batchUpdateBlobs({ instanceName, requests });
    expect(responses.map(({ status }) => status?.message)).toEqual(blobs.map(() => ""));
  }

  /** @returns how much of it is committed */
  async write(
    resourceName: string,
    bytes: Uint8Array,
    options: Parameters<typeof writeRequests>[2] = {},
    signal?: AbortSignal,
  ): Promise<number> {
    const requests = streamOf(writeRequests(resourceName, bytes, { chunkBytes: MIB, ...options }));
    const written = this.#clients.byteStream.write(requests, signal === undefined ? {} : { signal });
    return Number((await written).committedSize);
  }

  async committed(resourceName: string): Promise<number> {
    return Number((await this.#clients.byteStream.queryWriteStatus({ resourceName })).committedSize);
  }

  /** Those of the blobs that are said to be missing. */
  async missing<T extends Uint8Array>(...blobs: T[]): Promise<T[]> {
    const digests = blobs.map(digestOf);
    const { missingBlobDigests } = await this.#clients.cas.findMissingBlobs({ instanceName, blobDigests: digests });
    const hashes = new Set(missingBlobDigests.map(({ hash }) => hash));
    return blobs.filter((_, i) => hashes.has(digests[i]?.hash ?? ""));
  }

  async read(bytes: Uint8Array): Promise<Buffer> {
    const resourceName = `main/blobs/${nameOf(digestOf(bytes)).replace("-", "/")}`;
    const messages = await collect(this.#clients.byteStream.read({ resourceName }));
    return Buffer.concat(messages.map(({ data }) => data));
  }

  /** Checks that each of the blobs can be read, and is itself. */
  async checkReadable(blobs: readonly Uint8Array[], where = ""): Promise<void> {
    const { responses } = await this.#clients.cas.batchReadBlobs({ instanceName, digests: blobs.map(digestOf) });
    expect(
      responses.map(({ data }) => Buffer.from(data).toString("hex")),
      where,
    ).toEqual(blobs.map((blob) => Buffer.from(blob).toString("hex")));
  }

  /** Runs SQL in each of the shards. */
  async sql(query: string, ...bindings: unknown[]): Promise<Record<string, unknown>[]> {
    const rows = await Promise.all(this.#indexes().map((index) => this.worker.shardSql(index, query, ...bindings)));
    return rows.flat();
  }

  /** Kills each shard and lets it begin anew: it does at once what is due. */
  async wake(): Promise<void> {
    await Promise.all(this.#indexes().map((index) => this.worker.killShard(index)));
    // One hash for each shard.
    const digests = this.#indexes().map((index) => ({
      hash: index.toString(16).padStart(8, "0").padEnd(64, "a"),
      sizeBytes: 1n,
    }));
    await this.#clients.cas.findMissingBlobs({ instanceName, blobDigests: digests });
  }

  /** Makes everything due that the shards have on their lists of deletions, and waits until it is done. */
  async drainDeletions(): Promise<void> {
    await this.sql("UPDATE deletions SET due_ms = 0");
    await this.wake();
    await eventually(() => this.sql("SELECT * FROM deletions")).toEqual([]);
  }

  /** The Worker's metrics, by name and labels as they are written. */
  async metrics(): Promise<Map<string, number>> {
    const response = await fetch(`${this.worker.url}/metrics`, { headers: { connection: "close" } });
    const lines = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
  }

  /** Checks that what the store says that it holds is what it holds. */
  async checkTotals(): Promise<void> {
    const metrics = await this.metrics();
    const said = ["inline", "object", "action_result"].flatMap((kind) =>
      ["entries", "bytes"].map((what) => metrics.get(`remex_store_${what}{store="MAIN_STORE",kind="${kind}"}`)),
    );
    const queries = [
      "SELECT count(*) AS n, coalesce(sum(size_bytes), 0) AS bytes FROM blobs WHERE bytes_id IS NOT NULL",
      "SELECT count(*) AS n, coalesce(sum(size_bytes), 0) AS bytes FROM blobs WHERE upload_id IS NOT NULL",
      "SELECT count(*) AS n, coalesce(sum(length(bytes)), 0) AS bytes FROM action_results",
    ];
    const held: number[] = [];
    for (const query of queries) {
      const rows = await this.sql(query);
      held.push(rows.reduce((sum, { n }) => sum + Number(n), 0));
      held.push(rows.reduce((sum, { bytes }) => sum + Number(bytes), 0));
    }
    expect(said).toEqual(held);
  }

  /** Empties the store, in a way that no client could. */
  async clear(): Promise<void> {
    // The first time so that no shard has anything left to do, or to save.
    await this.wake();
    for (const table of ["blobs", "blob_bytes", "action_results", "uploads", "upload_parts", "deletions", "totals"]) {
      await this.sql(`DELETE FROM ${table}`);
    }
    await this.wake();
    const bucket = await this.worker.mf.getR2Bucket("CAS");
    const { objects } = await bucket.list();
    await bucket.delete(objects.map(({ key }) => key));
  }

  async rows(): Promise<IndexRow[]> {
    const rows = await this.sql("SELECT lower(hex(hash)) AS hash, size_bytes, upload_id FROM blobs");
    return rows.map(({ hash, size_bytes, upload_id }) => ({
      blob: `${String(hash)}-${String(size_bytes)}`,
      uploadId: typeof upload_id === "string" ? upload_id : undefined,
    }));
  }

  /** The objects in R2, each as `{hash}-{size}/{upload id}`. */
  async objects(): Promise<string[]> {
    const bucket = await this.worker.mf.getR2Bucket("CAS");
    const { objects, truncated } = await bucket.list({ prefix: "MAIN_STORE/sha256/" });
    expect(truncated).toBe(false);
    return objects.map(({ key }) => key.replace("MAIN_STORE/sha256/", ""));
  }

  /**
   * Checks what must hold at any moment: each object that a row names is there.
   * @returns the objects that no row names
   */
  async audit(where: string): Promise<string[]> {
    // The rows first: what is indexed meanwhile would be no fault.
    const indexed = (await this.rows()).flatMap(({ blob, uploadId }) => (uploadId ? [`${blob}/${uploadId}`] : []));
    const objects = await this.objects();
    expect(
      indexed.filter((key) => !objects.includes(key)),
      `indexed, and not there: ${where}`,
    ).toEqual([]);
    return objects.filter((key) => !indexed.includes(key));
  }

  get #clients() {
    return connectClients(this.worker.url);
  }

  #indexes(): number[] {
    return Array.from({ length: this.#shards }, (_, index) => index);
  }
}

export function uploadName(bytes: Uint8Array): string {
  return `main/uploads/${randomUUID()}/blobs/${nameOf(digestOf(bytes)).replace("-", "/")}`;
}

function nameOf({ hash, sizeBytes }: Digest): string {
  return `${hash}-${sizeBytes}`;
}
