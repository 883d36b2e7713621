import tls, { type SecureContextOptions, type TLSSocket } from "node:tls";
import { endpointAddress, serverName } from "../endpoint/endpoint-agent.ts";
import { type Proxy, proxyFor } from "../endpoint/proxy-for.ts";
import { openTunnel } from "../endpoint/tunnel.ts";
import type { BridgeLimits } from "./limits.ts";
import type { Upstream } from "./upstream.ts";
import { createHttp1Upstream } from "./upstream-http1.ts";
import { createHttp2Upstream } from "./upstream-http2.ts";

/** How long the handshake may take that tells which version of HTTP the endpoint speaks. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The endpoint over TLS: HTTP/2 where it speaks that (by ALPN), else HTTP/1.1; through a proxy, too. */
export function createHttpsUpstream(endpoint: URL, limits: BridgeLimits, trust: SecureContextOptions): Upstream {
  const http1 = createHttp1Upstream(endpoint, limits, trust);
  let chosen: Upstream | undefined;
  let choosing: Promise<void> | undefined;
  const proxy = proxyFor(endpoint, process.env);
  const onRefused = (): void => {
    // Perhaps another server answers there now.
    chosen = undefined;
  };
  const dial = proxy && (() => dialThrough(proxy, endpoint, trust));
  const http2 = createHttp2Upstream(endpoint, limits, trust, onRefused, dial);

  async function choose(): Promise<void> {
    const protocol = await negotiate(endpoint, trust, proxy);
    chosen = protocol === undefined ? undefined : protocol === "h2" ? http2 : http1;
    choosing = undefined;
  }

  return {
    endpoint,

    ready() {
      return chosen === undefined ? (choosing ??= choose()) : undefined;
    },

    // Where nothing could be negotiated, a call finds out why.
    call(path, headers) {
      return (chosen ?? http1).call(path, headers);
    },

    async isHealthy(timeoutMs) {
      await this.ready();
      return (chosen ?? http1).isHealthy(timeoutMs);
    },

    close() {
      http1.close();
      http2.close();
    },
  };
}

/** What the endpoint chooses; undefined if it can't be reached or isn't trusted. */
async function negotiate(
  endpoint: URL,
  trust: SecureContextOptions,
  proxy: Proxy | undefined,
): Promise<string | undefined> {
  let socket: TLSSocket;
  try {
    socket = await handshake(endpoint, trust, ["h2", "http/1.1"], proxy);
  } catch {
    return undefined;
  }
  const { alpnProtocol } = socket;
  socket.destroy();
  return alpnProtocol === false || alpnProtocol === null ? "http/1.1" : alpnProtocol;
}

/**
 * A connection that speaks HTTP/2, through a proxy.
 * @throws ProxyError if the proxy opens none, an error of the network or of TLS
 */
async function dialThrough(proxy: Proxy, endpoint: URL, trust: SecureContextOptions): Promise<TLSSocket> {
  return handshake(endpoint, trust, ["h2"], proxy);
}

async function handshake(
  endpoint: URL,
  trust: SecureContextOptions,
  ALPNProtocols: string[],
  proxy: Proxy | undefined,
): Promise<TLSSocket> {
  const { host, port } = endpointAddress(endpoint);
  const tunnel = proxy && (await openTunnel(proxy, host, port));
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = tls.connect({
    ...trust,
    ...serverName(host),
    ALPNProtocols,
    ...(tunnel === undefined ? { host, port } : { socket: tunnel }),
  });
  const timeout = setTimeout(() => {
    socket.destroy(new Error(`no handshake within ${HANDSHAKE_TIMEOUT_MS / 1000} s`));
  }, HANDSHAKE_TIMEOUT_MS);
  socket.once("secureConnect", () => {
    resolve(socket);
  });
  socket.on("error", reject);
  socket.once("close", () => {
    reject(new Error("the connection was closed"));
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timeout);
  }
}
