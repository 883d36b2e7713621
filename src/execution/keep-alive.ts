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
  let pending = source.next();
  let last: T | undefined;
  for (;;) {
    const result = await orQuiet(pending);
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
}

async function orQuiet<R>(pending: Promise<R>): Promise<R | typeof QUIET> {
  const quiet = Promise.withResolvers<typeof QUIET>();
  const timer = setTimeout(() => {
    quiet.resolve(QUIET);
  }, REPEAT_AFTER_MS);
  try {
    return await Promise.race([pending, quiet.promise]);
  } finally {
    clearTimeout(timer);
  }
}
