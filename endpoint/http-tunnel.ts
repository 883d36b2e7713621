import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { ProxyError, TUNNEL_TIMEOUT_MS, unauthorized, unreachable } from "./proxy-error.ts";
import { type Credentials, credentialsOf, describeProxy, type Proxy } from "./proxy-for.ts";

/**
 * Has an HTTP proxy connect to a host, by CONNECT.
 * @returns a socket that leads there, in clear text so far
 * @throws ProxyError
 */
export async function openHttpTunnel(proxy: Proxy, host: string, port: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const { url } = proxy;
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const credentials = credentialsOf(proxy);
  const request = (url.protocol === "https:" ? https : http).request({
    // Of its own, since the connection is no longer one of HTTP afterwards.
    agent: false,
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port,
    method: "CONNECT",
    path: authority,
    headers: {
      host: authority,
      ...(credentials !== undefined && { "proxy-authorization": basic(credentials) }),
    },
    timeout: TUNNEL_TIMEOUT_MS,
  });
  request.once("connect", ({ statusCode = 0, statusMessage }, socket: Socket, head) => {
    if (statusCode < 200 || statusCode > 299) {
      socket.destroy();
      reject(refusal(proxy, authority, statusCode, statusMessage, credentials !== undefined));
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
    reject(unreachable(proxy, error));
  });
  request.end();
  return promise;
}

function basic({ user, password }: Credentials): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function refusal(
  proxy: Proxy,
  authority: string,
  status: number,
  statusMessage: string | undefined,
  hadCredentials: boolean,
): ProxyError {
  if (status === 407) return unauthorized(proxy, hadCredentials, " (HTTP 407)");
  const said = `HTTP ${status} ${statusMessage ?? ""}`.trim();
  return new ProxyError(
    status >= 500
      ? `${describeProxy(proxy)} can't connect to ${authority} (${said})`
      : `${describeProxy(proxy)} refuses CONNECT to ${authority} (${said}): have it allowed there`,
  );
}
