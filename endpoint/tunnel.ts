import type { Socket } from "node:net";
import { openHttpTunnel } from "./http-tunnel.ts";
import type { Proxy } from "./proxy-for.ts";
import { openSocksTunnel } from "./socks-tunnel.ts";

/**
 * Has a proxy connect to a host.
 * @returns a socket that leads there, in clear text so far
 * @throws ProxyError
 */
export async function openTunnel(proxy: Proxy, host: string, port: number): Promise<Socket> {
  const open = proxy.url.protocol.startsWith("socks") ? openSocksTunnel : openHttpTunnel;
  return open(proxy, host, port);
}
