import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type {
  Digest,
  FindMissingBlobsRequest,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { callerKey } from "../caller.ts";
import { RecentMap } from "../recent-map.ts";

/** Which blobs the endpoint lately said it has, to each caller. */
export class KnownBlobs {
  readonly #known: RecentMap<true>;

  constructor(ttlMs: number, maxEntries: number) {
    this.#known = new RecentMap({ ttlMs, maxEntries });
  }

  has(scope: string, digest: Digest): boolean {
    return this.#known.get(key(scope, digest)) === true;
  }

  add(scope: string, digest: Digest): void {
    this.#known.set(key(scope, digest), true);
  }

  /**
   * Forgets everything: something was missing at the endpoint, and its client, which is about to ask what that is, would be
   * told that nothing is.
   */
  clear(): void {
    this.#known.clear();
  }
}

/** In what the digests of a request may be looked up, in short: there may be many. */
export function scopeOf(
  metadata: IncomingHttpHeaders,
  { instanceName, digestFunction }: FindMissingBlobsRequest,
): string {
  const text = JSON.stringify([callerKey(metadata), instanceName, digestFunction]);
  return createHash("sha256").update(text).digest("base64url").slice(0, 16);
}

function key(scope: string, { hash, sizeBytes }: Digest): string {
  return `${scope}/${hash}/${sizeBytes}`;
}
