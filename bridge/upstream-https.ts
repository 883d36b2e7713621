import { isIP } from "node:net";
import tls, { type SecureContextOptions } from "node:tls";
import type { BridgeLimits } from "./limits.ts";
import type { Upstream } from "./upstream.ts";
import { createHttp1Upstream } from "./upstream-http1.ts";
import { createHttp2Upstream } from "./upstream-http2.ts";

/** How long the handshake may take that tells which version of HTTP the endpoint speaks. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The endpoint over TLS: HTTP/2 where it speaks that (by ALPN), else HTTP/1.1. */
export function createHttpsUpstream(endpoint: URL, limits: BridgeLimits, trust: SecureContextOptions): Upstream {
  const http1 = createHttp1Upstream(endpoint, limits, trust);
  let chosen: Upstream | undefined;
  let choosing: Promise<void> | undefined;
  const http2 = createHttp2Upstream(endpoint, limits, trust, () => {
    // Perhaps another server answers there now.
    chosen = undefined;
  });

  async function choose(): Promise<void> {
    const protocol = await negotiate(endpoint, trust);
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
function negotiate({ hostname, port }: URL, trust: SecureContextOptions): Promise<string | undefined> {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = tls.connect({
    ...trust,
    host,
    port: port === "" ? 443 : Number(port),
    // An address can't be a server name.
    ...(isIP(host) === 0 && { servername: host }),
    ALPNProtocols: ["h2", "http/1.1"],
    timeout: HANDSHAKE_TIMEOUT_MS,
  });
  socket.once("secureConnect", () => {
    resolve(socket.alpnProtocol === false ? "http/1.1" : (socket.alpnProtocol ?? "http/1.1"));
    socket.destroy();
  });
  socket.once("timeout", () => socket.destroy());
  socket.on("error", () => undefined);
  socket.once("close", () => {
    resolve(undefined);
  });
  return promise;
}
