import { unavailableError } from "../errors/unavailable.ts";
import { withinTime } from "../errors/within-time.ts";

/** No store's keys are like this: they begin with the store's name and a slash. */
const KEY = "readiness";

const RETRY_AFTER_MS = 1000;

/**
 * Whether the bucket answers, by one operation that finds nothing.
 * @throws ConnectError UNAVAILABLE if not
 */
export async function checkBucket(bucket: R2Bucket): Promise<void> {
  try {
    await withinTime(bucket.head(KEY), () => "R2 head");
  } catch (error) {
    throw unavailableError("R2 does not answer; try again", RETRY_AFTER_MS, error);
  }
}
