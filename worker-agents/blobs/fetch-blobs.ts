import { Code, ConnectError } from "@connectrpc/connect";
import { digestKey, type Digest } from "../../src/digest/digest.ts";
import { forEachConcurrently } from "../concurrency.ts";
import type { Cas } from "./cas.ts";
import { planTransfers } from "./transfer-plan.ts";

/** Takes one blob: its verified bytes, or the pieces of a stream that throws at the end if they are not the digest's. */
export type TakeBlob = (digest: Digest, content: Uint8Array | AsyncIterable<Uint8Array>) => Promise<void>;

/** How many blobs of one batch are taken at once: each may be an open file. */
const TAKEN_AT_ONCE = 16;

/**
 * Fetches blobs: small ones in batches, large ones as streams, some at once.
 * @param digests distinct, none of them empty
 * @returns those that are not in the CAS; every other has been taken
 */
export async function fetchBlobs(
  cas: Cas,
  digests: readonly Digest[],
  signal: AbortSignal,
  take: TakeBlob,
): Promise<Digest[]> {
  const limits = await cas.batches.limits(signal);
  const { batches, streams } = planTransfers(digests, (digest) => digest, limits);
  const missing: Digest[] = [];
  await settleAll([
    ...batches.map((batch) =>
      cas.readSlots.run(async () => {
        const found = await cas.batches.read(batch, signal);
        await forEachConcurrently(batch, TAKEN_AT_ONCE, async (digest) => {
          const bytes = found.get(digestKey(digest));
          if (bytes === undefined) missing.push(digest);
          else await take(digest, bytes);
        });
      }),
    ),
    ...streams.map((digest) =>
      cas.readSlots.run(async () => {
        try {
          await take(digest, cas.streams.read(digest, limits.zstd, signal));
        } catch (error) {
          if (!(error instanceof ConnectError) || error.code !== Code.NotFound) throw error;
          missing.push(digest);
        }
      }),
    ),
  ]);
  return missing;
}

/** As `fetchBlobs`, for blobs that are small enough to be held in memory one by one. */
export async function fetchBytes(
  cas: Cas,
  digests: readonly Digest[],
  signal: AbortSignal,
  take: (digest: Digest, bytes: Uint8Array) => void,
): Promise<Digest[]> {
  return fetchBlobs(cas, digests, signal, async (digest, content) => {
    if (content instanceof Uint8Array) {
      take(digest, content);
      return;
    }
    const pieces: Uint8Array[] = [];
    for await (const piece of content) pieces.push(piece);
    take(digest, Buffer.concat(pieces));
  });
}

/** Waits for all, so that nothing goes on behind the caller's back, then throws the first failure. */
async function settleAll(tasks: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(tasks);
  await Promise.all(tasks);
}
