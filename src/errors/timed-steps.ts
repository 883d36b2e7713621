import type { ConnectError } from "@connectrpc/connect";

/**
 * Steps that follow one another, each of which may take so long. They share a timer: one for each of the thousands of pieces
 * of a large blob was a tenth of the work that they made.
 */
export class TimedSteps {
  readonly #limitMs: number;
  readonly #tooLong: () => ConnectError;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #begunMs = 0;
  #isOver = false;
  /** Of the step that is waited for. */
  #reject: ((error: ConnectError) => void) | undefined;

  constructor(limitMs: number, tooLong: () => ConnectError) {
    this.#limitMs = limitMs;
    this.#tooLong = tooLong;
  }

  /**
   * What a step comes to; the one before must have ended.
   * @throws ConnectError that `tooLong` makes, if it takes longer. It may have its effect nevertheless.
   */
  within<T>(step: Promise<T>): Promise<T> {
    this.#begunMs = Date.now();
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject;
      this.#timer ??= setTimeout(this.#look, this.#limitMs);
      const ended = () => {
        if (this.#reject !== reject) return;
        this.#reject = undefined;
        if (this.#isOver) this.end();
      };
      step.finally(ended).then(resolve, reject);
    });
  }

  /** There are no more steps than the one that may be waited for. */
  end(): void {
    this.#isOver = true;
    if (this.#reject !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The timer was set when a step began that may be over by now. */
  readonly #look = (): void => {
    this.#timer = undefined;
    if (this.#reject === undefined) return;
    const remainingMs = this.#begunMs + this.#limitMs - Date.now();
    if (remainingMs > 0) this.#timer = setTimeout(this.#look, remainingMs);
    else this.#reject(this.#tooLong());
  };
}
