import http2, { type Http2Server, type SecureServerOptions } from "node:http2";
import type { Tracer } from "@opentelemetry/api";
import type { Logger } from "pino";
import { trackConnections } from "./client-connections.ts";
import { ClientIdentities } from "./client-identity.ts";
import { type ClientTls, renewTls, secureContext } from "./client-tls.ts";
import { createDispatcher } from "./dispatch.ts";
import { type BridgeLimits, DEFAULT_LIMITS } from "./limits.ts";
import { describeAddress, type ListenAddress, listenOn } from "./listen.ts";
import { createLocalServices } from "./local-services.ts";
import { RequestMemory } from "./request-memory.ts";
import type { Upstream } from "./upstream.ts";
import { createHttp1Upstream } from "./upstream-http1.ts";
import { createHttpsUpstream } from "./upstream-https.ts";

/** How long clients may take to read that their calls were ended, until they are cut off. */
const FAREWELL_MS = 200;

export interface BridgeOptions {
  readonly listen: ListenAddress;
  /** Asks for what TLS needs, at the start and then every `tlsRenewalMs`; undefined listens without TLS. */
  readonly tls?: (() => ClientTls) | undefined;
  /** The Worker's URL, `http:` or `https:`; a path in it goes before each method's. */
  readonly endpoint: URL;
  /** The certificates (PEM) that the endpoint's is signed by; undefined for those that Node trusts. */
  readonly endpointCa?: string | undefined;
  /** The bearer token of calls whose client sends no authorization, asked for at each call. */
  readonly token?: (() => string) | undefined;
  /** By what it signs for who its clients are, asked for at each signature; undefined says nothing of their certificates. */
  readonly identityKey?: (() => string) | undefined;
  readonly logger: Logger;
  /** Makes a span of each call. */
  readonly tracer?: Tracer | undefined;
  readonly limits?: Partial<BridgeLimits>;
}

export interface Bridge {
  /** 0 where it listens on a path. */
  readonly port: number;

  /** Takes no more calls, lets those in flight end for `shutdownGraceMs`, then ends them as UNAVAILABLE. Never rejects. */
  close(): Promise<void>;
}

/**
 * Serves native gRPC over HTTP/2 and carries it to the endpoint as gRPC-Web.
 * @throws Error, with a message for a person, if the address can't be listened on, TLS can't be set up, or the endpoint is
 * no HTTP URL.
 */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const { listen, endpoint, logger, tls } = options;
  const limits: BridgeLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const upstream = createUpstream(options, limits);
  const repeatMemory = new RequestMemory(limits.repeatableRequestsBytes);
  const joinMemory = new RequestMemory(limits.joinedMessagesBytes);
  const identities = options.identityKey && new ClientIdentities(options.identityKey);
  const closing = new AbortController();
  const local = createLocalServices(upstream, limits, closing.signal);

  const { server, stopRenewal } = createServer(tls, limits, logger);
  server.maxConnections = limits.maxConnections;
  server.on("sessionError", (error) => {
    logger.debug({ err: error }, "a client's connection failed");
  });
  const context = { upstream, limits, logger, repeatMemory, joinMemory, tracer: options.tracer };
  const { dispatch, endCalls } = createDispatcher(context, local, { token: options.token, identities });
  server.on("stream", dispatch);
  const connections = trackConnections(server, limits);
  await listenOn(server, listen);
  server.on("error", (error) => {
    logger.error({ err: error }, "the bridge's server failed");
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const where = describeAddress("path" in listen ? listen : { ...listen, port });
  logger.info({ listen: where, tls: tls !== undefined, endpoint: endpoint.href }, "the bridge is listening");

  return {
    port,
    async close() {
      closing.abort();
      stopRenewal();
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      connections.close();
      const bounds = [
        setTimeout(endCalls, limits.shutdownGraceMs),
        setTimeout(connections.destroy, limits.shutdownGraceMs + FAREWELL_MS),
      ];
      await closed;
      bounds.forEach(clearTimeout);
      upstream.close();
    },
  };
}

function createUpstream({ endpoint, endpointCa }: BridgeOptions, limits: BridgeLimits): Upstream {
  switch (endpoint.protocol) {
    case "http:":
      return createHttp1Upstream(endpoint, limits);
    case "https:":
      return createHttpsUpstream(endpoint, limits, endpointCa === undefined ? {} : { ca: endpointCa });
    default:
      throw new Error(
        `the endpoint ${endpoint.href} is no http: or https: URL; give the Worker's, e.g. https://remex.example.com`,
      );
  }
}

function createServer(
  tls: (() => ClientTls) | undefined,
  limits: BridgeLimits,
  logger: Logger,
): { readonly server: Http2Server; readonly stopRenewal: () => void } {
  const options = {
    settings: {
      initialWindowSize: limits.streamWindowBytes,
      maxConcurrentStreams: limits.maxStreamsPerConnection,
      // What node:http2 takes, said aloud.
      maxHeaderListSize: 65_535,
      enablePush: false,
    },
    // In MB, and counted against what waits to be sent: streams are refused above it, so it must not be reached.
    maxSessionMemory: 1024,
    maxSendHeaderBlockLength: 2 * limits.maxTrailerBytes,
  } satisfies SecureServerOptions;
  if (tls === undefined) return { server: http2.createServer(options), stopRenewal: () => undefined };

  const material = tls();
  const mutual = material.clientCa !== undefined;
  const server = http2.createSecureServer({
    ...options,
    ...secureContext(material),
    requestCert: mutual,
    rejectUnauthorized: mutual,
  });
  return { server, stopRenewal: renewTls(server, tls, limits.tlsRenewalMs, logger) };
}
