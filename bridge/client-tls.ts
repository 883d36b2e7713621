import type { Http2SecureServer } from "node:http2";
import type { Logger } from "pino";

/** By what clients know the bridge, and the bridge its clients; PEM texts. */
export interface ClientTls {
  readonly cert: string;
  readonly key: string;
  /** Clients must have a certificate that one of these has signed; undefined lets anyone in. */
  readonly clientCa?: string;
}

/**
 * Takes renewed certificates into use for connections to come, without a restart.
 * @param read what to use now; where it throws, what was in use stays
 * @returns what stops it
 */
export function renewTls(
  server: Http2SecureServer,
  read: () => ClientTls,
  intervalMs: number,
  logger: Logger,
): () => void {
  let current = JSON.stringify(read());
  const interval = setInterval(() => {
    try {
      const tls = read();
      const next = JSON.stringify(tls);
      if (next === current) return;
      server.setSecureContext(secureContext(tls));
      current = next;
      logger.info("the bridge uses its renewed certificate");
    } catch (error) {
      logger.warn({ err: error }, "the bridge's certificate can't be renewed, and stays as it was");
    }
  }, intervalMs);
  return () => {
    clearInterval(interval);
  };
}

export function secureContext({ cert, key, clientCa }: ClientTls) {
  return { cert, key, ...(clientCa !== undefined && { ca: clientCa }) };
}
