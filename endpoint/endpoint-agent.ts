import http from "node:http";
import https from "node:https";
import { isIP, type Socket } from "node:net";
import { type Duplex, PassThrough } from "node:stream";
import tls from "node:tls";
import { proxyFor } from "./proxy-for.ts";
import { openTunnel } from "./tunnel.ts";

/** Makes the connections to an endpoint over HTTP/1.1, through the environment's proxy where it names one. */
export interface EndpointAgentOptions extends https.AgentOptions {
  /** Sees each connection before anything is sent on it. */
  readonly onSocket?: (socket: Duplex) => void;
  /** Of the process, if not said. */
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * An agent for the requests and WebSockets to an endpoint. Those that a proxy keeps from it fail with a ProxyError.
 * @throws ProxyVariableError
 */
export function endpointAgent(
  endpoint: URL,
  { onSocket, environment = process.env, ...options }: EndpointAgentOptions = {},
): http.Agent | https.Agent {
  const secure = endpoint.protocol === "https:" || endpoint.protocol === "wss:";
  const agent = new (secure ? https : http).Agent(options);
  const proxy = proxyFor(endpoint, environment);
  if (proxy !== undefined) {
    const open = async (): Promise<Socket> => {
      const { host, port } = endpointAddress(endpoint);
      const tunnel = await openTunnel(proxy, host, port);
      const socket = secure
        ? tls.connect({ ...options, ...serverName(host), ALPNProtocols: ["http/1.1"], socket: tunnel })
        : tunnel;
      onSocket?.(socket);
      return socket;
    };
    agent.createConnection = (_options, created) => {
      open().then(
        (socket) => created?.(null, socket),
        // With an error Node looks at no socket, but its types want one.
        (error: unknown) => created?.(asError(error), new PassThrough()),
      );
      return undefined;
    };
  } else if (onSocket !== undefined) {
    const create = agent.createConnection.bind(agent);
    agent.createConnection = (requested, created) => {
      const socket = create(requested, created);
      if (socket) onSocket(socket);
      return socket;
    };
  }
  return agent;
}

/** Where an endpoint listens. */
export function endpointAddress({ hostname, port, protocol }: URL): { readonly host: string; readonly port: number } {
  const defaultPort = protocol === "https:" || protocol === "wss:" ? 443 : 80;
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: port === "" ? defaultPort : Number(port) };
}

/** The name by which an endpoint's certificate is asked for; an address can't be one. */
export function serverName(host: string): { readonly servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
