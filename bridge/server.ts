import { once } from "node:events";
import http2, { type Http2Server, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import { createDispatcher } from "./dispatch.ts";
import { type BridgeLimits, DEFAULT_LIMITS } from "./limits.ts";
import { createLocalServices } from "./local-services.ts";
import { describeError } from "./upstream-failure.ts";
import { createHttp1Upstream } from "./upstream-http1.ts";

/**
 * What a client may send on one connection before it must wait for a round trip. node:http2 hands this window back as it
 * reads the socket, and holds a slow call back by its stream's window alone, so it bounds nothing else.
 */
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;

/** How long a connection is idle until TCP asks whether the client is still there: a call that waits sends nothing. */
const KEEP_ALIVE_MS = 30_000;

export interface BridgeOptions {
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The Worker's URL, `http:` or `https:`; a path in it goes before each method's. */
  readonly endpoint: URL;
  readonly logger: Logger;
  readonly limits?: Partial<BridgeLimits>;
}

export interface Bridge {
  readonly port: number;

  /** Takes no more calls, lets those in flight end for `shutdownGraceMs`, then ends them. Never rejects. */
  close(): Promise<void>;
}

/**
 * Serves native gRPC over HTTP/2 and carries it to the endpoint as gRPC-Web.
 * @throws Error, with a message for a person, if the address can't be listened on or the endpoint is no HTTP URL.
 */
export async function startBridge({ listen, endpoint, logger, limits: chosen }: BridgeOptions): Promise<Bridge> {
  if (endpoint.protocol !== "http:" && endpoint.protocol !== "https:") {
    throw new Error(
      `the endpoint ${endpoint.href} is no http: or https: URL; give the Worker's, e.g. https://remex.example.com`,
    );
  }
  const limits: BridgeLimits = { ...DEFAULT_LIMITS, ...chosen };
  const upstream = createHttp1Upstream(endpoint, limits);
  const closing = new AbortController();
  const local = createLocalServices(upstream, limits, logger, closing.signal);

  const server = http2.createServer({
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
  });
  server.maxConnections = limits.maxConnections;
  server.on("sessionError", (error) => {
    logger.debug({ err: error }, "a client's connection failed");
  });
  server.on("stream", createDispatcher({ upstream, limits, logger }, local));
  const connections = trackConnections(server);
  await listenOn(server, listen);
  server.on("error", (error) => {
    logger.error({ err: error }, "the bridge's server failed");
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : listen.port;
  logger.info({ host: listen.host, port, endpoint: endpoint.href }, "the bridge is listening");

  return {
    port,
    async close() {
      closing.abort();
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      connections.close();
      const bound = setTimeout(connections.destroy, limits.shutdownGraceMs);
      await closed;
      clearTimeout(bound);
      upstream.close();
    },
  };
}

interface Connections {
  /** Tells every client to go once its calls are over. */
  readonly close: () => void;
  readonly destroy: () => void;
}

function trackConnections(server: Http2Server): Connections {
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    socket.setNoDelay().setKeepAlive(true, KEEP_ALIVE_MS);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return {
    close() {
      for (const session of sessions) {
        session.close();
      }
    },
    destroy() {
      for (const socket of sockets) {
        socket.destroy();
      }
    },
  };
}

async function listenOn(server: Http2Server, { host, port }: BridgeOptions["listen"]): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new Error(`the bridge can't listen on ${host}:${port}: ${whyNot(error)}`, { cause: error });
  }
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return "the port is in use; stop what listens there, or choose another port";
    case "EACCES":
      return "this user may not use the port; choose one above 1023";
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return "this machine has no such address";
    default:
      return describeError(error);
  }
}
