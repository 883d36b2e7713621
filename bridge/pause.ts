import { setTimeout as sleep } from "node:timers/promises";
import type { BridgeLimits } from "./limits.ts";

/** Resolves after `ms`, or at once when `signal` is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  }
}

/**
 * How long to wait before an attempt to resume, the first being 0: a random time around the exponentially grown pause, so
 * that the clients of a restarted Worker don't come at once.
 */
export function resumePauseMs(
  attempt: number,
  limits: Pick<BridgeLimits, "resumePauseMs" | "resumePauseMaxMs">,
): number {
  const grown = Math.min(limits.resumePauseMs * 2 ** attempt, limits.resumePauseMaxMs);
  return grown * (0.5 + Math.random());
}
