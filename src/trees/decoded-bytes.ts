import type { Digest } from "../digest/digest.ts";
import { takeMemory } from "../memory/isolate-memory.ts";
import type { Release } from "../memory/memory-budget.ts";

/** A Directory or Tree as a message takes three times its bytes on the wire, which are held beside it. */
const DECODED_PER_BYTE = 4;

/** What is small, as most is, doesn't wait for memory that others hold. */
const FREE_BYTES = 128 << 10;

/**
 * Takes the memory for blobs that are about to be read and decoded as Directories or Trees.
 * @param owner see takeMemory
 * @throws ConnectError UNAVAILABLE as takeMemory does
 */
export async function takeMemoryToDecode(digests: readonly Digest[], owner?: string): Promise<Release> {
  const bytes = digests.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return bytes <= FREE_BYTES ? () => undefined : takeMemory(DECODED_PER_BYTE * bytes, owner);
}
