const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** How often to look whether npm's shell is still there. */
const PARENT_CHECK_MS = 250;

/**
 * Aborts at the first request to end (Ctrl-C, SIGTERM, the terminal's end). The second one ends the process at once,
 * with what an "exit" listener kills.
 */
export function terminationSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(1);
      controller.abort();
    });
  }
  if (process.env["npm_lifecycle_event"] !== undefined) {
    whenParentEnds(() => {
      controller.abort();
    });
  }
  return controller.signal;
}

/** Settles when `signal` aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener(
      "abort",
      () => {
        resolve();
      },
      { once: true },
    );
  });
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
