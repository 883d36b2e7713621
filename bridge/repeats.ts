import type { BridgeLimits } from "./limits.ts";
import { pause, resumePauseMs } from "./pause.ts";
import { isRepeatable } from "./repeatable-methods.ts";

type RepeatLimits = Pick<BridgeLimits, "repeats" | "resumePauseMs" | "resumePauseMaxMs">;

/** How often one call may be repeated after its connection failed. */
export class Repeats {
  readonly #limits: RepeatLimits;
  #left: number;
  #made = 0;

  /** @param path of the method: one that isn't repeatable never is */
  constructor(path: string, limits: RepeatLimits) {
    this.#limits = limits;
    this.#left = isRepeatable(path) ? limits.repeats : 0;
  }

  get areLeft(): boolean {
    return this.#left > 0;
  }

  /**
   * Resolves to whether the call is to be repeated, when it is time to: at once for the first time, as what failed is most
   * often a kept connection that the endpoint has just closed.
   */
  async next(signal: AbortSignal): Promise<boolean> {
    if (this.#left === 0 || signal.aborted) return false;
    this.#left--;
    const made = this.#made++;
    if (made > 0) await pause(resumePauseMs(made - 1, this.#limits), signal);
    return !signal.aborted;
  }
}
