import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { describeError } from "./describe-error.ts";
import { describeProxy, type Proxy } from "./proxy-for.ts";

/** How long a proxy has to open a tunnel. */
const TUNNEL_TIMEOUT_MS = 10_000;

/** A proxy that opens no tunnel; the message says why and what to put right, and holds no credentials. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
}

/**
 * Has a proxy connect to a host, by CONNECT.
 * @returns a socket that leads there, in clear text so far
 * @throws ProxyError
 */
export async function openTunnel(proxy: Proxy, host: string, port: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const { url } = proxy;
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const credentials = credentialsOf(url);
  const request = (url.protocol === "https:" ? https : http).request({
    // Of its own, since the connection is no longer one of HTTP afterwards.
    agent: false,
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port,
    method: "CONNECT",
    path: authority,
    headers: {
      host: authority,
      ...(credentials !== undefined && { "proxy-authorization": `Basic ${credentials}` }),
    },
    timeout: TUNNEL_TIMEOUT_MS,
  });
  request.once("connect", ({ statusCode = 0, statusMessage }, socket: Socket, head) => {
    if (statusCode < 200 || statusCode > 299) {
      socket.destroy();
      reject(new ProxyError(refusal(proxy, authority, statusCode, statusMessage, credentials !== undefined)));
      return;
    }
    socket.setTimeout(0);
    socket.setNoDelay(true);
    if (head.length > 0) socket.unshift(head);
    resolve(socket);
  });
  request.once("timeout", () => {
    request.destroy(new Error(`no answer within ${TUNNEL_TIMEOUT_MS / 1000} s`));
  });
  request.once("error", (error) => {
    reject(
      new ProxyError(
        `${describeProxy(proxy)} can't be reached: ${describeError(error)}; check the variable, or name the endpoint's host ` +
          "in NO_PROXY if it is reached directly",
        { cause: error },
      ),
    );
  });
  request.end();
  return promise;
}

/** In base64, or undefined if the URL has none. */
function credentialsOf({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  return Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64");
}

function refusal(
  proxy: Proxy,
  authority: string,
  status: number,
  statusMessage: string | undefined,
  hadCredentials: boolean,
): string {
  if (status === 407) {
    return hadCredentials
      ? `${describeProxy(proxy)} does not accept the user and password in its URL (HTTP 407)`
      : `${describeProxy(proxy)} asks for credentials (HTTP 407): give them as http://user:password@host:port`;
  }
  const said = `HTTP ${status} ${statusMessage ?? ""}`.trim();
  if (status >= 500) return `${describeProxy(proxy)} can't connect to ${authority} (${said})`;
  return `${describeProxy(proxy)} refuses CONNECT to ${authority} (${said}): have it allowed there`;
}
