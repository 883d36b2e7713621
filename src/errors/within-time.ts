import type { ConnectError } from "@connectrpc/connect";
import { TimedSteps } from "./timed-steps.ts";
import { unavailableError } from "./unavailable.ts";

/** How long a store may take for one step, be it to answer, to take a piece of a blob or to give one. */
const MAX_STEP_MS = 60_000;

const RETRY_AFTER_MS = 1000;

/**
 * What a step of a store comes to.
 * @param what the step is, for the message
 * @throws ConnectError UNAVAILABLE if it takes too long. It may have its effect nevertheless.
 */
export async function withinTime<T>(step: Promise<T>, what: () => string): Promise<T> {
  const steps = storeSteps(what);
  try {
    return await steps.within(step);
  } finally {
    steps.end();
  }
}

/** Many steps of a store, one after the other, each as `withinTime` has it. */
export function storeSteps(what: () => string): TimedSteps {
  return new TimedSteps(MAX_STEP_MS, (): ConnectError =>
    unavailableError(`${what()} took more than ${MAX_STEP_MS / 1000} s; try again`, RETRY_AFTER_MS),
  );
}
