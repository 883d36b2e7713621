import { Code, ConnectError } from "@connectrpc/connect";

/**
 * Cuts a stream on which nothing moves: a limit on the whole would punish large blobs, and no limit would wait for
 * ever on a dead connection. Follows an outer signal, too.
 */
export class StallGuard implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #limitMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number, outer: AbortSignal) {
    this.#limitMs = limitMs;
    this.#outer = outer;
    if (outer.aborted) this.#passOn();
    else outer.addEventListener("abort", this.#passOn, { once: true });
  }

  /** Aborts with UNAVAILABLE on a stall, and with the outer signal's reason when that aborts. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on it is the other side's turn. */
  waiting(): void {
    if (this.#timer !== undefined) {
      this.#timer.refresh();
      return;
    }
    this.#timer = setTimeout(() => {
      const error = new ConnectError(`nothing moved for ${this.#limitMs / 1000} s`, Code.Unavailable);
      this.#controller.abort(error);
    }, this.#limitMs);
  }

  /** The other side did something. */
  moved(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Ends the stream, if it has not ended by itself. */
  [Symbol.dispose](): void {
    this.moved();
    this.#outer.removeEventListener("abort", this.#passOn);
    this.#controller.abort();
  }

  readonly #passOn = (): void => {
    this.#controller.abort(this.#outer.reason);
  };
}
