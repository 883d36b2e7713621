import { Code, ConnectError } from "@connectrpc/connect";
import { retryInfo } from "./retry-info.ts";

const RETRY_AFTER_MS = 5000;

/** RESOURCE_EXHAUSTED with a RetryInfo. */
export function tooManyCallsError(where: string): ConnectError {
  return new ConnectError(
    `too many calls ${where}: try again when some of them have ended, or have builds run fewer actions at once ` +
      "(Bazel: --jobs)",
    Code.ResourceExhausted,
    undefined,
    [retryInfo(RETRY_AFTER_MS)],
  );
}
