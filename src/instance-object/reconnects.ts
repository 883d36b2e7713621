import { unavailableError } from "../errors/unavailable.ts";

/** The pause doubles, up to the longest, and is shortened at random by up to half. All together take about 40 s. */
const RECONNECT = { attempts: 12, firstPauseMs: 50, longestPauseMs: 5000, retryAfterMs: 1000 } as const;

/** How a Worker comes back to an Instance object that was restarted or redeployed, and when it gives up. */
export class Reconnects {
  #failures = 0;

  /** The object answered. */
  succeeded(): void {
    this.#failures = 0;
  }

  /**
   * Waits before the next attempt.
   * @param signal when it is aborted there is none, and nothing to wait for
   * @throws ConnectError UNAVAILABLE after too many failures in a row
   */
  async failed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#failures += 1;
    if (this.#failures > RECONNECT.attempts) {
      throw unavailableError("the instance's scheduler is out of reach; try again", RECONNECT.retryAfterMs);
    }
    const pauseMs = Math.min(RECONNECT.firstPauseMs * 2 ** (this.#failures - 1), RECONNECT.longestPauseMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs * (1 - Math.random() / 2)));
  }
}
