import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { keepAlive, type KeepAliveLimits } from "./keep-alive.ts";

/**
 * What a client may send on one connection before it must wait for a round trip. node:http2 hands this window back as it
 * reads the socket, and holds a slow call back by its stream's window alone, so it bounds nothing else.
 */
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;

/** How long a connection is idle until TCP asks whether the client is still there: a call that waits sends nothing. */
const TCP_KEEP_ALIVE_MS = 30_000;

export interface ClientConnections {
  /** Tells every client to go once its calls are over. */
  readonly close: () => void;
  readonly destroy: () => void;
}

/** Looks after the connections of a server's clients. */
export function trackConnections(server: Http2Server, limits: KeepAliveLimits): ClientConnections {
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    let streams = 0;
    session.on("stream", (stream) => {
      streams++;
      stream.once("close", () => {
        streams--;
      });
    });
    keepAlive(session, limits, () => streams > 0);
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    socket.setNoDelay().setKeepAlive(true, TCP_KEEP_ALIVE_MS);
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
