import { Code, ConnectError } from "@connectrpc/connect";
import { retryInfo } from "../errors/retry-info.ts";

/** RESOURCE_EXHAUSTED: there is never as much as this takes at once, so it is of no use to wait. */
export function aboveQuotaError(caller: string, amount: number, limit: string): ConnectError {
  return new ConnectError(
    `this takes ${amount} of the quota of "${caller}" at once, which is ${limit} (access, quota): use ByteStream, ` +
      "which can go on where it was refused",
    Code.ResourceExhausted,
  );
}

/** RESOURCE_EXHAUSTED with a RetryInfo: the caller has used up what it may use. */
export function quotaSpentError(caller: string, limit: string, retryAfterMs: number): ConnectError {
  const seconds = Math.ceil(retryAfterMs / 1000);
  return new ConnectError(
    `the quota of "${caller}" is spent: ${limit} (access, quota); try again in ${seconds} s`,
    Code.ResourceExhausted,
    undefined,
    [retryInfo(retryAfterMs)],
  );
}
