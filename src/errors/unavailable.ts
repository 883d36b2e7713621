import { Code, ConnectError } from "@connectrpc/connect";
import { retryInfo } from "./retry-info.ts";

/** UNAVAILABLE: a store or an object is overloaded or restarting. Carries a RetryInfo: trying again is safe. */
export function unavailableError(message: string, retryAfterMs: number, cause?: unknown): ConnectError {
  return new ConnectError(message, Code.Unavailable, undefined, [retryInfo(retryAfterMs)], cause);
}
