/** A phase took longer than its limit. */
export class TimeLimitExceeded extends Error {
  override readonly name = "TimeLimitExceeded";
}

/**
 * Runs `task` with a signal that aborts when `signal` does, or after `limitMs` with TimeLimitExceeded as the reason.
 */
export async function withTimeLimit<Result>(
  limitMs: number,
  signal: AbortSignal,
  task: (signal: AbortSignal) => Promise<Result>,
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
  try {
    return await task(limited.signal);
  } catch (error) {
    // What a library throws on abort says less than why it was aborted.
    if (limited.signal.aborted) throw asError(limited.signal.reason);
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", passOn);
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
