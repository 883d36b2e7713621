import { unavailableError } from "../errors/unavailable.ts";
import { MemoryBudget, type Release } from "./memory-budget.ts";

/**
 * What all requests of an isolate may hold together of what they can't pass on as it comes: it has 128 MB for everything.
 * Each caller has a share: those that send slowly, or not at all, must not hold what others need.
 */
const HELD = new MemoryBudget(48 << 20, 40 << 20);

/** How long a request waits for memory that others hold, and how often it looks. */
const MAX_WAIT_MS = 10_000;
const POLL_MS = 25;

const RETRY_AFTER_MS = 1000;

/**
 * Takes memory that a request is about to hold, and waits where others hold too much of it.
 * @param owner see MemoryBudget
 * @param budget what it is taken from
 * @throws ConnectError UNAVAILABLE if there is still no room after some seconds.
 */
export async function takeMemory(bytes: number, owner?: string, budget = HELD): Promise<Release> {
  // Looks again by a timer: a promise that only another request resolves would look like one that hangs.
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const release = budget.tryTake(bytes, owner);
    if (release !== undefined) return release;
    if (waitedMs >= MAX_WAIT_MS) {
      throw unavailableError("too much is being stored and read here at once; try again", RETRY_AFTER_MS);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Takes memory if there is room for it now. */
export function tryTakeMemory(bytes: number, owner?: string): Release | undefined {
  return HELD.tryTake(bytes, owner);
}
