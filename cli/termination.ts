/** SIGBREAK is Ctrl-Break on Windows, where a program may be sent that alone; elsewhere it never comes. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"] as const;

/** How often to look whether npm's shell is still there. */
const PARENT_CHECK_MS = 250;

/**
 * Aborts at the first request to end (Ctrl-C, SIGTERM, the terminal's end).
 * @param again is called at each further one. By default that ends the process at once, with what an "exit" listener kills.
 */
export function terminationSignal(again: () => void = endAtOnce): AbortSignal {
  const controller = new AbortController();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (controller.signal.aborted) again();
      else controller.abort();
    });
  }
  if (process.env["npm_lifecycle_event"] !== undefined) {
    whenParentEnds(() => {
      controller.abort();
    });
  }
  return controller.signal;
}

export function endAtOnce(): never {
  process.exit(1);
}

/**
 * npm start and npx run a command in a shell, and pass SIGTERM on to the shell alone: that it is gone is all that the
 * command hears of it. (On Windows, where there are no such signals, a parent's id stays.)
 */
function whenParentEnds(callback: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    callback();
  }, PARENT_CHECK_MS);
  timer.unref();
}
