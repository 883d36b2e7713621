/** Some keys that one task works on. Each is done once, and `doneAll` must come in the end whatever happens. */
export interface Announcement {
  done(key: string): void;
  doneAll(): void;
}

/** Which keys are being worked on, so that others wait instead of doing the same. */
export class Announcements {
  readonly #open = new Map<string, Promise<void>>();

  /** Resolves when the work on `key` has ended, well or not; undefined if nobody works on it. */
  of(key: string): Promise<void> | undefined {
    return this.#open.get(key);
  }

  /** @param keys none of which is being worked on */
  announce(keys: Iterable<string>): Announcement {
    const closers = new Map<string, () => void>();
    for (const key of keys) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      this.#open.set(key, promise.then());
      closers.set(key, () => {
        closers.delete(key);
        this.#open.delete(key);
        resolve(undefined);
      });
    }
    return {
      done: (key) => closers.get(key)?.(),
      doneAll: () => {
        for (const close of [...closers.values()]) close();
      },
    };
  }
}

/** Waits for promises that never reject, or throws the signal's reason when it aborts. */
export async function waitForOthers(promises: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
  if (promises.length === 0) return;
  signal.throwIfAborted();
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const onAbort = (): void => {
    resolve(undefined);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  await Promise.race([Promise.all(promises), aborted]);
  signal.removeEventListener("abort", onAbort);
  signal.throwIfAborted();
}
