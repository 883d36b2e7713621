import { rename, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { mayPass } from "./operating-system.ts";

/** Virus scanners look at each new file, and hold it while they do. */
const RETRY_DELAYS_MS = [10, 50, 200, 500, 1000];

/**
 * Renames a file, in the place of another if there is one. On Windows a file that is open can't be renamed, nor one be
 * replaced that is read-only: the one waits a little, the other is removed first.
 */
export async function moveFile(from: string, to: string): Promise<void> {
  for (const delayMs of RETRY_DELAYS_MS) {
    try {
      await rename(from, to);
      return;
    } catch (error) {
      if (!mayPass(error)) throw error;
    }
    await rm(to, { force: true }).catch(() => undefined);
    await delay(delayMs);
  }
  await rename(from, to);
}
