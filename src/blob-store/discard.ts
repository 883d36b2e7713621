import { log } from "../log.ts";

/** Removes what nothing refers to. A failure leaves an orphan, which costs storage and nothing else, so it is only logged. */
export async function discard(what: string, remove: () => Promise<void>): Promise<void> {
  try {
    await remove();
  } catch (error) {
    log.warn({ error }, `could not remove ${what}; it is left behind`);
  }
}
