import type { Http2Session } from "node:http2";

export interface KeepAliveLimits {
  /** How often the other side is asked whether it is still there; 0 for never. */
  readonly pingMs: number;
  /** How long it may take to answer. */
  readonly pingTimeoutMs: number;
}

/**
 * Notices that the other side of a connection is gone without a word: a machine that sleeps, a NAT that forgets. TCP alone
 * may take a quarter of an hour for it while data are under way.
 * @param isBusy whether it matters now; a connection that nobody waits for is left alone
 */
export function keepAlive(
  session: Http2Session,
  { pingMs, pingTimeoutMs }: KeepAliveLimits,
  isBusy: () => boolean,
): void {
  if (pingMs === 0) return;
  let timeout: NodeJS.Timeout | undefined;
  const interval = setInterval(() => {
    if (timeout !== undefined || session.destroyed || !isBusy()) return;
    timeout = setTimeout(() => {
      session.destroy(new Error(`no answer to a ping within ${pingTimeoutMs} ms`));
    }, pingTimeoutMs);
    session.ping(() => {
      clearTimeout(timeout);
      timeout = undefined;
    });
  }, pingMs);
  session.once("close", () => {
    clearInterval(interval);
    clearTimeout(timeout);
  });
}
