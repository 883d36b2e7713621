import { unavailableError } from "../errors/unavailable.ts";

/** What all requests of an isolate may hold together of what they can't pass on as it comes: it has 128 MB for everything. */
const MAX_HELD_BYTES = 48 << 20;

/** What one caller's requests may hold together: those that send slowly, or not at all, must not hold what others need. */
const MAX_OWNED_BYTES = 40 << 20;

/** How long a request waits for memory that others hold, and how often it looks. */
const MAX_WAIT_MS = 10_000;
const POLL_MS = 25;

const RETRY_AFTER_MS = 1000;

let heldBytes = 0;

/** Those of them that have an owner, by owner. */
const ownedBytes = new Map<string, number>();

/** Gives the memory back. May be called more than once. */
export type Release = () => void;

/**
 * Takes memory that a request is about to hold, and waits where others hold too much of it.
 * @param owner whose request it is, where that one decides how long the memory is held
 * @throws ConnectError UNAVAILABLE if there is still no room after some seconds.
 */
export async function takeMemory(bytes: number, owner?: string): Promise<Release> {
  // Looks again by a timer: a promise that only another request resolves would look like one that hangs.
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const release = tryTakeMemory(bytes, owner);
    if (release !== undefined) return release;
    if (waitedMs >= MAX_WAIT_MS) {
      throw unavailableError("too much is being stored and read here at once; try again", RETRY_AFTER_MS);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Takes memory if there is room for it now. */
export function tryTakeMemory(bytes: number, owner?: string): Release | undefined {
  if (heldBytes + bytes > MAX_HELD_BYTES) return undefined;
  if (owner !== undefined && (ownedBytes.get(owner) ?? 0) + bytes > MAX_OWNED_BYTES) return undefined;
  hold(bytes, owner);
  let held = true;
  return () => {
    if (held) hold(-bytes, owner);
    held = false;
  };
}

function hold(bytes: number, owner: string | undefined): void {
  heldBytes += bytes;
  if (owner === undefined) return;
  const owned = (ownedBytes.get(owner) ?? 0) + bytes;
  if (owned === 0) ownedBytes.delete(owner);
  else ownedBytes.set(owner, owned);
}
