import { describeError } from "./describe-error.ts";
import { describeProxy, type Proxy } from "./proxy-for.ts";

/** How long a proxy has to open a tunnel. */
export const TUNNEL_TIMEOUT_MS = 10_000;

/** A proxy that opens no tunnel; the message says why and what to put right, and holds no credentials. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
}

/** The proxy doesn't answer as one. */
export function unreachable(proxy: Proxy, cause: unknown): ProxyError {
  return new ProxyError(
    `${describeProxy(proxy)} can't be reached: ${describeError(cause)}; check the variable, or name the endpoint's host ` +
      "in NO_PROXY if it is reached directly",
    { cause },
  );
}

/** The proxy wants a user and password, or others than it got. */
export function unauthorized(proxy: Proxy, hadCredentials: boolean, status = ""): ProxyError {
  return new ProxyError(
    hadCredentials
      ? `${describeProxy(proxy)} does not accept the user and password in its URL${status}`
      : `${describeProxy(proxy)} asks for credentials${status}: give them as ${proxy.url.protocol}//user:password@host:port`,
  );
}
