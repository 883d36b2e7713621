import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
  type Settings,
} from "node:http2";
import { PassThrough } from "node:stream";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import { keepAlive } from "./keep-alive.ts";
import type { BridgeLimits } from "./limits.ts";
import type { Upstream, UpstreamCall, UpstreamResponse } from "./upstream.ts";

/** What the endpoint may send on one connection before it must wait for a round trip. */
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;

/** A status in the head carries its details there. */
const MAX_HEADER_LIST_BYTES = 256 * 1024;

type Http2Limits = Pick<
  BridgeLimits,
  "pingMs" | "pingTimeoutMs" | "streamsPerUpstreamConnection" | "upstreamHttp2IdleMs" | "upstreamWindowBytes"
>;

/** So many connections are made for a call that waits for one with room. */
const MAX_DIALS = 32;

/** A connection to the endpoint and the calls that it carries. */
interface Connection {
  readonly session: ClientHttp2Session;
  calls: number;
  idle: NodeJS.Timeout | undefined;
}

/**
 * The endpoint over HTTP/2: many calls share few connections.
 * @param onRefused is called when a connection ends before the endpoint has said a word of HTTP/2 on it
 * @param dial makes a connection, where it isn't made directly
 */
export function createHttp2Upstream(
  endpoint: URL,
  limits: Http2Limits,
  tls: SecureContextOptions,
  onRefused: () => void,
  dial?: () => Promise<TLSSocket>,
): Upstream {
  const connections = new Set<Connection>();
  /** What the endpoint allows on one connection, as it said on the latest. */
  let announcedStreams = Infinity;
  const basePath = endpoint.pathname.replace(/\/+$/, "");

  let dialling: Promise<unknown> | undefined;

  /** @param socket if it is connected already */
  function connect(socket?: TLSSocket): Connection {
    const session = http2.connect(endpoint.origin, {
      ...tls,
      ...(socket !== undefined && { createConnection: () => socket }),
      settings: {
        enablePush: false,
        initialWindowSize: limits.upstreamWindowBytes,
        maxHeaderListSize: MAX_HEADER_LIST_BYTES,
      },
      // In MB, and counted against what waits to be sent: streams are refused above it, so it must not be reached.
      maxSessionMemory: 1024,
    });
    const connection: Connection = { session, calls: 0, idle: undefined };
    connections.add(connection);
    const retire = (): void => {
      clearTimeout(connection.idle);
      connections.delete(connection);
    };
    let spoke = false;
    session.once("connect", () => {
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    });
    session.on("remoteSettings", ({ maxConcurrentStreams }: Settings) => {
      spoke = true;
      announcedStreams = maxConcurrentStreams ?? Infinity;
    });
    session.once("goaway", retire);
    session.once("close", () => {
      retire();
      if (!spoke) onRefused();
    });
    // Its calls report it.
    session.on("error", () => undefined);
    keepAlive(session, limits, () => connection.calls > 0);
    return connection;
  }

  function hasRoom({ session, calls }: Connection): boolean {
    const mostCalls = Math.min(limits.streamsPerUpstreamConnection, announcedStreams);
    return !session.closed && !session.destroyed && calls < mostCalls;
  }

  function start(path: string, method: "GET" | "POST", headers: OutgoingHttpHeaders): UpstreamCall {
    const open = (connection: Connection) =>
      callOn(request(connection, { ...headers, ":method": method, ":path": basePath + path }, method === "GET"));
    const free = connections.values().find(hasRoom);
    if (free !== undefined) return open(free);
    return dial === undefined ? open(connect()) : callLater(whenConnected(dial, open));
  }

  /** Opens a call on a connection that has room as soon as there is one. */
  async function whenConnected(
    dial: () => Promise<TLSSocket>,
    open: (connection: Connection) => UpstreamCall,
  ): Promise<UpstreamCall> {
    for (let dials = 0; dials < MAX_DIALS; dials++) {
      dialling ??= dial()
        .then(connect)
        .finally(() => {
          dialling = undefined;
        });
      await dialling;
      const free = connections.values().find(hasRoom);
      if (free !== undefined) return open(free);
    }
    throw new Error("every connection through the proxy was full or closed again");
  }

  function request(connection: Connection, headers: OutgoingHttpHeaders, endStream: boolean): ClientHttp2Stream {
    clearTimeout(connection.idle);
    connection.calls++;
    const stream = connection.session.request(headers, { endStream });
    stream.once("close", () => {
      if (--connection.calls > 0) return;
      connection.idle = setTimeout(() => {
        connection.session.close();
      }, limits.upstreamHttp2IdleMs);
    });
    return stream;
  }

  return {
    endpoint,

    ready() {
      return undefined;
    },

    call(path, headers): UpstreamCall {
      return start(path, "POST", headers);
    },

    async isHealthy(timeoutMs) {
      const probe = start("/healthz", "GET", {});
      const timeout = setTimeout(() => {
        probe.abort();
      }, timeoutMs);
      try {
        return (await probe.response).httpStatus === 200;
      } catch {
        return false;
      } finally {
        clearTimeout(timeout);
        probe.abort();
      }
    },

    close() {
      for (const { session, idle } of connections) {
        clearTimeout(idle);
        session.destroy();
      }
    },
  };
}

function callOn(stream: ClientHttp2Stream): UpstreamCall {
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamResponse>();
  stream.once("response", (headers: IncomingHttpHeaders & IncomingHttpStatusHeader) => {
    resolve({ httpStatus: headers[":status"] ?? 0, headers, body: stream });
  });
  // An error may come before whoever reads the body listens for it. They find it in the body's state then.
  stream.on("error", reject);
  stream.once("close", () => {
    reject(new Error("the connection was closed"));
  });
  return {
    requestBody: stream,
    response: promise,
    abort(reason) {
      if (stream.destroyed) return;
      if (reason === undefined) {
        stream.close(constants.NGHTTP2_CANCEL);
      } else {
        stream.destroy(reason);
      }
    },
  };
}

/** A call that takes its request while it is still being opened. */
function callLater(opening: Promise<UpstreamCall>): UpstreamCall {
  const requestBody = new PassThrough();
  // They are those of the response.
  requestBody.on("error", () => undefined);
  const given = Promise.withResolvers<never>();
  given.promise.catch(() => undefined);
  let opened: UpstreamCall | undefined;
  const response = opening.then((call) => {
    opened = call;
    if (requestBody.destroyed) call.abort();
    else requestBody.pipe(call.requestBody);
    return call.response;
  });
  return {
    requestBody,
    response: Promise.race([response, given.promise]),
    abort(reason) {
      requestBody.destroy();
      opened?.abort(reason);
      given.reject(reason ?? new Error("the call was given up"));
    },
  };
}
