import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { backoffMs, sleep, type Backoff } from "../backoff.ts";
import { systemErrorCode } from "../system-error.ts";

export interface RetryPolicy extends Backoff {
  /** How often a call is made in all, with no progress in between. */
  readonly attempts: number;
}

/** How a connection breaks that connect-node has no gRPC code of its own for. */
const BROKEN_CONNECTION = new Set(["EPIPE", "ECONNRESET", "ECONNABORTED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"]);

/**
 * How long to wait at least before the call that failed with `error` is made again; undefined if it must not be. Only
 * what may go better next time: the endpoint or the way to it was overloaded, restarting or cut.
 */
export function retryDelayMs(error: unknown): number | undefined {
  const { code, cause } = ConnectError.from(error);
  const retryInfo = ConnectError.from(error).findDetails(RetryInfoSchema)[0];
  const askedMs = retryInfo?.retryDelay === undefined ? 0 : durationMs(retryInfo.retryDelay);
  switch (code) {
    case Code.Unavailable:
    case Code.DeadlineExceeded:
    case Code.Aborted: // Also what connect-node makes of a connection that was reset.
      return askedMs;
    case Code.ResourceExhausted:
      return retryInfo === undefined ? undefined : askedMs;
    default:
      return BROKEN_CONNECTION.has(systemErrorCode(cause) ?? "") ? 0 : undefined;
  }
}

/** Counts the failures of one call that may be repeated, and waits between them. */
export class Retries {
  readonly #policy: RetryPolicy;
  readonly #signal: AbortSignal;
  #failures = 0;

  constructor(policy: RetryPolicy, signal: AbortSignal) {
    this.#policy = policy;
    this.#signal = signal;
  }

  /** The call got somewhere: the count begins anew. */
  progress(): void {
    this.#failures = 0;
  }

  /** Returns when it is time to try again. @throws `error`, when it must not be tried again. */
  async after(error: unknown): Promise<void> {
    const askedMs = retryDelayMs(error);
    if (this.#signal.aborted || askedMs === undefined || ++this.#failures >= this.#policy.attempts) throw error;
    await sleep(Math.max(askedMs, backoffMs(this.#policy, this.#failures)), this.#signal);
    this.#signal.throwIfAborted();
  }
}

/** Makes a call until it succeeds, fails in a way that no repetition mends, or has failed `policy.attempts` times. */
export async function withRetries<Result>(
  policy: RetryPolicy,
  signal: AbortSignal,
  call: () => Promise<Result>,
): Promise<Result> {
  const retries = new Retries(policy, signal);
  for (;;) {
    try {
      return await call();
    } catch (error) {
      await retries.after(error);
    }
  }
}
