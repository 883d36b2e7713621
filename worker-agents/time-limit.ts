/** setTimeout fires at once for more; 24 days is for ever. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A phase took longer than its limit. */
export class TimeLimitExceeded extends Error {
  override readonly name = "TimeLimitExceeded";
}

/** How long a task may take to end when it is aborted: one that waits for a dead disk never does. */
const ABORT_GRACE_MS = 30_000;

/**
 * Runs `task` with a signal that aborts when `signal` does, or after `limitMs` with TimeLimitExceeded as the reason. A task
 * that does not end within `graceMs` of that is left to itself, and its reason thrown all the same.
 */
export async function withTimeLimit<Result>(
  limitMs: number,
  signal: AbortSignal,
  task: (signal: AbortSignal) => Promise<Result>,
  graceMs = ABORT_GRACE_MS,
): Promise<Result> {
  signal.throwIfAborted();
  const limited = new AbortController();
  const passOn = (): void => {
    limited.abort(signal.reason);
  };
  signal.addEventListener("abort", passOn, { once: true });
  const timer = setTimeout(() => {
    limited.abort(new TimeLimitExceeded(`took longer than ${limitMs / 1000} s`));
  }, limitMs);
  const left = Promise.withResolvers<never>();
  let grace: NodeJS.Timeout | undefined;
  limited.signal.addEventListener("abort", () => {
    grace = setTimeout(() => {
      left.reject(asError(limited.signal.reason));
    }, graceMs);
  });
  try {
    return await Promise.race([task(limited.signal), left.promise]);
  } catch (error) {
    // What a library throws on abort says less than why it was aborted.
    if (limited.signal.aborted) throw asError(limited.signal.reason);
    throw error;
  } finally {
    clearTimeout(timer);
    clearTimeout(grace);
    signal.removeEventListener("abort", passOn);
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
