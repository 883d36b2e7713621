/** bazel#11782: a client can't tell a long action from a dead connection unless something comes now and then. */
const REPEAT_AFTER_MS = 10_000;

const QUIET = Symbol("quiet");

/**
 * The source's items; where none comes for a while, the last one again. Ends when the source does.
 * @param before makes what is said as long as none has come
 */
export async function* repeatWhileQuiet<T>(
  source: AsyncIterator<T, void>,
  before?: () => T,
): AsyncGenerator<T, void, undefined> {
  const quiet = new Quiet();
  try {
    let pending = source.next();
    let last: T | undefined;
    for (;;) {
      const result = await Promise.race([pending, quiet.begins()]);
      if (result === QUIET) {
        last ??= before?.();
        if (last !== undefined) yield last;
        continue;
      }
      if (result.done === true) return;
      last = result.value;
      pending = source.next();
      // Its failure is met when it is awaited; meanwhile it isn't an unhandled one.
      pending.catch(() => undefined);
      yield last;
    }
  } finally {
    quiet.end();
  }
}

/** Tells when nothing has happened for a while. One timer goes on from one wait to the next: most are short. */
class Quiet {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sinceMs = 0;
  #resolve: (quiet: typeof QUIET) => void = () => undefined;

  /** Something has just happened. Resolves when nothing has for a while, unless this is called again before. */
  begins(): Promise<typeof QUIET> {
    this.#sinceMs = Date.now();
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#timer ??= setTimeout(this.#look, REPEAT_AFTER_MS);
    });
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** The timer was set when an earlier wait began. */
  readonly #look = (): void => {
    const remainingMs = this.#sinceMs + REPEAT_AFTER_MS - Date.now();
    this.#timer = remainingMs > 0 ? setTimeout(this.#look, remainingMs) : undefined;
    if (remainingMs <= 0) this.#resolve(QUIET);
  };
}
