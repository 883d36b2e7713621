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
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLong = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(unavailableError(`${what()} took more than ${MAX_STEP_MS / 1000} s; try again`, RETRY_AFTER_MS));
    }, MAX_STEP_MS);
  });
  try {
    return await Promise.race([step, tooLong]);
  } finally {
    clearTimeout(timer);
  }
}
