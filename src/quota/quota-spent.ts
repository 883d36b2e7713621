import { Code, ConnectError } from "@connectrpc/connect";
import { retryInfo } from "../errors/retry-info.ts";

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
