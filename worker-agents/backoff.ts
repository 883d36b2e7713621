import { setTimeout as delay } from "node:timers/promises";

/** How long to wait between attempts: doubling from `baseMs`, never above `maxMs`. */
export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * The wait before attempt `attempt` (1 for the first repetition). A random half of it is left out, so that the agents
 * that one event hit at the same moment don't all come back at the same moment.
 */
export function backoffMs({ baseMs, maxMs }: Backoff, attempt: number, random: () => number = Math.random): number {
  const full = Math.min(maxMs, baseMs * 2 ** (attempt - 1));
  return full * (1 - random() / 2);
}

/** Waits; ends early, without an error, when `signal` aborts. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
