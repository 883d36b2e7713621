import { tooManyCallsError } from "../errors/too-many-calls.ts";
import { takeMemory } from "./isolate-memory.ts";
import { MemoryBudget, type Release } from "./memory-budget.ts";

/** What an open call takes, however idle: measured, 22 KiB of heap and 1 KiB of buffers. */
const CALL_BYTES = 24 << 10;

/** How many calls an isolate has room for while they hold nothing, and how many of them one caller may have. */
const MAX_CALLS = 2500;
const MAX_OWNED_CALLS = 2400;

/** How many of them may wait for the ends of actions, so that there is room for those that bring the ends about. */
const MAX_WAITS = 2250;
const MAX_OWNED_WAITS = 2100;

/** Open calls have memory of their own, so that those who only wait don't keep others from storing and reading. */
const CALLS = new MemoryBudget(MAX_CALLS * CALL_BYTES, MAX_OWNED_CALLS * CALL_BYTES);

const WAITS = new MemoryBudget(MAX_WAITS, MAX_OWNED_WAITS);

/**
 * Counts a call, until the release is called. It doesn't wait for others, which may be open for hours.
 *
 * @param owner the name of the caller, who may have most but not all of what there is
 * @throws ConnectError RESOURCE_EXHAUSTED with a RetryInfo if too many are open
 */
export function openCall(owner: string): Release {
  const release = CALLS.tryTake(CALL_BYTES, owner);
  if (release !== undefined) return release;
  throw tooManyCallsError(`are open here at once (${MAX_CALLS}, or ${MAX_OWNED_CALLS} of one caller)`);
}

/**
 * Counts a call as one that waits for the end of an action.
 *
 * @throws ConnectError as `openCall` does
 */
export function openWait(owner: string): Release {
  const release = WAITS.tryTake(1, owner);
  if (release !== undefined) return release;
  throw tooManyCallsError(`wait for actions here at once (${MAX_WAITS}, or ${MAX_OWNED_WAITS} of one caller)`);
}

/**
 * Counts a call that may hold a chunk of so many bytes for as long as its client likes, and waits where there is no room.
 *
 * @throws ConnectError UNAVAILABLE with a RetryInfo if there is still no room after some seconds
 */
export function openCallOf(chunkBytes: number, owner: string): Promise<Release> {
  return takeMemory(CALL_BYTES + chunkBytes, owner, CALLS);
}
