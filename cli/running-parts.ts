import type { Logger } from "pino";

/** How long stopping may take; what still runs then is killed with this process. */
const STOP_LIMIT_MS = 1800;

/** The parts of the service that run in this process. */
export class RunningParts {
  readonly #logger: Logger;
  readonly #stops: (() => Promise<unknown>)[] = [];
  readonly #failed = Promise.withResolvers<never>();

  constructor(logger: Logger) {
    this.#logger = logger;
    // Whoever races on it sees it; nobody else has to.
    this.#failed.promise.catch(() => undefined);
  }

  /** Rejects when a part can't go on. */
  get failure(): Promise<never> {
    return this.#failed.promise;
  }

  /** A part can't go on, and so the service can't. */
  fail(error: unknown): void {
    this.#failed.reject(error);
  }

  /** Takes over a part that has started. */
  add(stop: () => Promise<unknown>): void {
    this.#stops.push(stop);
  }

  /** Stops the parts, the last one first, since each needs those that were started before it. */
  async stop(): Promise<void> {
    const limit = setTimeout(() => {
      this.#logger.error(`not everything has stopped within ${STOP_LIMIT_MS} ms; the rest is killed`);
      process.exit(1);
    }, STOP_LIMIT_MS);
    for (const stop of this.#stops.toReversed()) {
      try {
        await stop();
      } catch (error) {
        this.#logger.error({ err: error }, "a part did not stop as it should");
      }
    }
    clearTimeout(limit);
  }
}
