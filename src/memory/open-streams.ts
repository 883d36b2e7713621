import { tooManyStreamsError } from "../errors/too-many-streams.ts";
import { takeMemory } from "./isolate-memory.ts";
import { MemoryBudget, type Release } from "./memory-budget.ts";

/** What an open call of a streaming method takes, however idle: measured, 22 KiB of heap and 1 KiB of buffers. */
const STREAM_BYTES = 24 << 10;

/** How many calls an isolate has room for while they say nothing. */
const MAX_STREAMS = 2500;
const MAX_OWNED_STREAMS = 2250;

/** Open streams have memory of their own, so that those who only wait don't keep others from storing and reading. */
const STREAMS = new MemoryBudget(MAX_STREAMS * STREAM_BYTES, MAX_OWNED_STREAMS * STREAM_BYTES);

/**
 * Counts a stream that may be open for long with little to say, until the release is called. There is no waiting for
 * others, which may be open for hours.
 *
 * @param owner the name of the caller, who may have most but not all of what there is
 * @throws ConnectError RESOURCE_EXHAUSTED with a RetryInfo if too many are open
 */
export function openStream(owner: string): Release {
  const release = STREAMS.tryTake(STREAM_BYTES, owner);
  if (release !== undefined) return release;
  throw tooManyStreamsError(`are open here at once (${MAX_STREAMS}, or ${MAX_OWNED_STREAMS} of one caller)`);
}

/**
 * Counts a stream that holds a chunk of so many bytes while its client doesn't take it, and waits where there is no room.
 *
 * @param owner as above
 * @throws ConnectError UNAVAILABLE with a RetryInfo if there is still no room after some seconds
 */
export function openStreamOf(chunkBytes: number, owner: string): Promise<Release> {
  return takeMemory(STREAM_BYTES + chunkBytes, owner, STREAMS);
}
