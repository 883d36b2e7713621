import type { IncomingHttpHeaders } from "node:http";
import { digestKey, type Digest } from "../../src/digest/digest.ts";
import { digestMismatch } from "../../src/digest/verify.ts";
import { callerKey } from "../caller.ts";
import { RecentMap } from "../recent-map.ts";

export interface OutputMemoryLimits {
  readonly ttlMs: number;
  readonly maxBytes: number;
  readonly maxEntries: number;
}

interface Output {
  readonly bytes: Uint8Array;
  wasRead: boolean;
}

/** So much may go unread before it is asked whether outputs are worth fetching. */
const TRIAL_BYTES = 1024 * 1024;

/** Outputs are worth fetching if a quarter of their bytes is read. */
const UNREAD_PER_READ = 3;

/** Of the counted bytes; then the past counts half. */
const COUNTED_BYTES = 64 * 1024 * 1024;

/** While outputs aren't worth it, one result in so many is asked with them, to see whether they are again. */
const RESULTS_PER_PROBE = 32;

/**
 * The small outputs that came with action results, for the Reads of the same caller that follow. A client that doesn't read
 * what it builds (Bazel with `--remote_download_minimal`) is noticed, and no outputs are fetched for it any more.
 */
export class OutputMemory {
  readonly #outputs: RecentMap<Output>;
  #readBytes = 0;
  #unreadBytes = 0;
  #resultsSinceProbe = 0;

  constructor(limits: OutputMemoryLimits) {
    this.#outputs = new RecentMap({
      ...limits,
      bytesOf: ({ bytes }) => bytes.length,
      onDropped: ({ bytes, wasRead }) => {
        if (!wasRead) this.#count(0, bytes.length);
      },
    });
  }

  /** Whether the next action result is to be asked for with its small outputs. */
  isWorthFilling(): boolean {
    if (this.#unreadBytes < TRIAL_BYTES || this.#unreadBytes <= this.#readBytes * UNREAD_PER_READ) return true;
    this.#resultsSinceProbe = (this.#resultsSinceProbe + 1) % RESULTS_PER_PROBE;
    return this.#resultsSinceProbe === 0;
  }

  /** Keeps an output, unless it isn't what its digest says. */
  remember(key: string, digest: Digest, bytes: Uint8Array): void {
    if (digestMismatch(digest, bytes) === undefined) this.#outputs.set(key, { bytes, wasRead: false });
  }

  get isEmpty(): boolean {
    return this.#outputs.size === 0;
  }

  recall(key: string): Uint8Array | undefined {
    const output = this.#outputs.get(key);
    if (output === undefined) return undefined;
    if (!output.wasRead) this.#count(output.bytes.length, 0);
    output.wasRead = true;
    return output.bytes;
  }

  #count(readBytes: number, unreadBytes: number): void {
    this.#readBytes += readBytes;
    this.#unreadBytes += unreadBytes;
    if (this.#readBytes + this.#unreadBytes > COUNTED_BYTES) {
      this.#readBytes /= 2;
      this.#unreadBytes /= 2;
    }
  }
}

/** What tells an output of one caller and instance from all others. */
export function outputKey(metadata: IncomingHttpHeaders, instanceName: string, digest: Digest): string {
  return JSON.stringify([callerKey(metadata), instanceName, digestKey(digest)]);
}
